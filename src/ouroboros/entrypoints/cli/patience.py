"""How long a command that waits for something bears that the control plane is away."""

import time

from ouroboros.domain.errors import PreviewError

_AWAY = ("api_unreachable", "api_timed_out", "control_plane_unreachable")
_AGAIN_S = 0.5


class Patience:
    """For one who waits for what goes on meanwhile: the API or PostgreSQL is being restarted."""

    def __init__(self, limit_s: float = 60.0) -> None:
        self._limit_s = limit_s
        self._heard_at = time.monotonic()

    def heard(self) -> None:
        """Note that the control plane has answered."""
        self._heard_at = time.monotonic()

    def bear(self, error: PreviewError) -> None:
        """Wait a moment before it is asked again; raises the error if it is another, or lasts."""
        if error.code not in _AWAY or time.monotonic() - self._heard_at > self._limit_s:
            raise error
        self.pause()

    def pause(self) -> None:
        """Wait a moment."""
        time.sleep(_AGAIN_S)
