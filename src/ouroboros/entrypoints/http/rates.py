"""How often somebody may ask: a token bucket for each, kept in memory."""

import threading
import time
from collections.abc import Callable

_MOST_KEPT = 10_000


class Rates:
    """One bucket for each key: `burst` at once, `per_s` in the long run.

    When there are too many keys, the one that was used longest ago is forgotten.
    """

    def __init__(
        self, per_s: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, key: str) -> bool:
        """Take one; whether there was one to take."""
        with self._lock:
            left = self._now(key)
            if left < 1:
                return False
            self._keep(key, left - 1)
            return True

    def _now(self, key: str) -> float:
        left, at = self._left.get(key, (self._burst, self._clock()))
        return min(self._burst, left + (self._clock() - at) * self._per_s)

    def _keep(self, key: str, left: float) -> None:
        self._left.pop(key, None)
        if len(self._left) >= _MOST_KEPT:
            del self._left[next(iter(self._left))]
        self._left[key] = (left, self._clock())
