"""Holding back the visitors of a backend that makes room for its successor.

A request that is sent to a backend while it ends may be lost, and nobody may send it again; so the
surface is asked to keep new ones to itself first. One that binds its port by itself cannot run
beside the next one and is ended when it has answered what it had. One that inherits its listener
drains while the next one serves already: holding visitors back for that instant shows them the
new pages and the new backend together.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ouroboros.adapters.http_probe import ask
from ouroboros.adapters.web_roots import WebRoots
from ouroboros.domain.errors import PreviewError
from ouroboros.domain.slot import Slot

ANSWERS_LIMIT_S = 5.0
_HOLD_S = 30.0
_POLL_S = 0.01


@contextmanager
def visitors_held_back(
    roots: WebRoots, slot: Slot, fence: int, answers_limit_s: float = ANSWERS_LIMIT_S
) -> Iterator[None]:
    """Do something while the surface sends nothing new to the slot's backend.

    Waits at most `answers_limit_s` for answers in progress: a stream of events has no end. A hold
    that a killed process leaves ends by itself after 30 s. Raises `stale_fence`.
    """
    roots.hold(slot, fence, time.time() + _HOLD_S)
    try:
        deadline = time.monotonic() + answers_limit_s
        while _has_requests(slot) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        yield
    finally:
        with suppress(PreviewError):
            roots.let_go(slot, fence)


def _has_requests(slot: Slot) -> bool:
    """Whether a request may still be with the backend; not when no surface answers."""
    answer = ask(slot.web_port, "/health", headers={"Host": slot.host_name}, time_limit_s=1.0)
    said = answer.json() if answer.status == 200 else None
    if not isinstance(said, dict):
        return False
    return not said.get("backend_held", True) or said.get("backend_in_flight", 0) > 0
