"""Holding visitors back while the one database behind old and new code is changed.

The live backend ends after what it has begun; its port stays open, so requests wait there (or at
the surface, for a backend that binds its own port) until the new backend or the old one answers.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from ouroboros.adapters.http_probe import ask
from ouroboros.domain.slot import Slot
from ouroboros.ports import BackendStatus
from ouroboros.services.holding import visitors_held_back
from ouroboros.services.publish.work import Work
from ouroboros.services.released_backend import ReleasedBackend

_POLL_S = 0.05


def hold_visitors(work: Work) -> bool:
    """End the live backend; False when none runs. May be repeated. Raises `stale_fence`."""
    slot, runtime = work.publish.slot, work.backends.runtime
    with work.under_fence():
        pass
    live = work.backends.live(slot)
    if live is None:
        return False
    follower = work.application.backend
    both_inherit = follower is not None and "socket" == follower.listen == live.backend.listen
    if both_inherit:
        runtime.park(slot, work.publish.fence)
    else:
        with visitors_held_back(work.backends.web_roots, slot, work.publish.fence):
            runtime.stop(slot, work.publish.fence)
    work.log.line(f"holding visitors: the backend of {live.publish_id} has ended")
    return True


def give_back(work: Work, put_back: Callable[[Slot, int, int], bool]) -> None:
    """Put back the database that this publish has kept, if it has, and run the live backend.

    `put_back` gets slot, fence and the publish's number. Raises `slot_busy`, `stale_fence`,
    `sessions_remain` and what an outage raises: then the old backend is not started, because
    the database is not yet what it knows.
    """
    publish = work.publish
    if work.backends.databases.has_checkpoint(publish.slot, publish.seq):
        with work.backends.slots.exclusive_work(publish.slot):
            hold_visitors(work)
            put_back(publish.slot, publish.fence, publish.seq)
        work.log.line(f"{publish.slot.database.name} is as it was before")
    with work.under_fence():
        pass
    serve_live_again(work)


def serve_live_again(work: Work) -> None:
    """Run the backend of the live release if another or none runs; wait until it answers."""
    slot, runtime = work.publish.slot, work.backends.runtime
    live = work.backends.live(slot)
    status = runtime.status(slot)
    if live is not None and status.publish_id != live.publish_id:
        worktree = work.layout.release(slot, live.publish_id) / "src"
        spec = work.backends.spec(slot, worktree, live)
        with _held_back_from(work, status):
            runtime.start(slot, spec)
        _wait_until_back(work, live)
    elif live is None and status.publish_id == work.publish.release_id:
        with _held_back_from(work, status):
            runtime.stop(slot, work.publish.fence)


def _held_back_from(work: Work, status: BackendStatus) -> AbstractContextManager[None]:
    """Hold visitors back from what runs; where nothing does they wait at its port already."""
    if status.state not in ("starting", "running"):
        return nullcontext()
    return visitors_held_back(work.backends.web_roots, work.publish.slot, work.publish.fence)


def _wait_until_back(work: Work, live: ReleasedBackend) -> None:
    """Let the publish end only when visitors have the old backend again, or it cannot come."""
    deadline = time.monotonic() + work.settings.ready_time_limit_s
    while ask(work.publish.slot.api_port, live.backend.health, time_limit_s=2.0).status != 200:
        if time.monotonic() > deadline:
            work.log.line(f"the backend of {live.publish_id} is not healthy again")
            return
        time.sleep(_POLL_S)
