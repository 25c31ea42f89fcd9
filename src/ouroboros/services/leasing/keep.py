"""Keeping and ending leases: heartbeat, release and reap.

A release frees the slot first in the order that is safe: a publish of the run that still builds
is cancelled and its processes are dead before the lease ends. The backend is stopped after it,
under the old fence, so a run that entered meanwhile is never disturbed.
"""

import time
from contextlib import suppress
from dataclasses import dataclass

import structlog

from ouroboros.adapters.control.leases import Ended, LeaseStore
from ouroboros.adapters.control.publishes import PublishStore
from ouroboros.adapters.web_roots import WebRoots
from ouroboros.domain.errors import PreviewError, Refused, TimedOut
from ouroboros.domain.lease import Lease
from ouroboros.domain.slot import Slot
from ouroboros.ports import BackendRuntime

_CANCEL_LIMIT_S = 60.0
_log = structlog.get_logger("leasing")


@dataclass(frozen=True, slots=True)
class Keeper:
    """The use cases with what they need."""

    leases: LeaseStore
    publishes: PublishStore
    backends: BackendRuntime
    web_roots: WebRoots

    def heartbeat(self, slot: Slot, run_id: str) -> Lease:
        """Extend the run's lease by the TTL; raises `lease_lost`."""
        return self.leases.heartbeat(slot, run_id)

    def release(self, slot: Slot, run_id: str) -> Ended:
        """End the lease that the run has now; raises `lease_lost`, `publish_still_running`."""
        lease = self.leases.heartbeat(slot, run_id)
        self._end_publishes(lease)
        ended = self.leases.release(slot, run_id, fence=lease.fence)
        self.empty(ended, "free")
        return ended

    def reap(self) -> list[Ended]:
        """End every overdue lease and hand the slots on; may be repeated.

        Empties also the slots whose lease somebody else ended, or a worker that died then.
        """
        expired = self.leases.turn()
        for ended in expired:
            self.empty(ended, "expired")
        done = {ended.slot for ended in expired}
        for ended in self.leases.ended():
            if ended.slot not in done and self.web_roots.live_release(ended.slot) is not None:
                self.empty(ended, "expired")
        return expired

    def empty(self, ended: Ended, state: str) -> None:
        """Stop what an ended lease left running, unless the slot has a new holder.

        A backend that cannot be stopped now keeps its page, by which `reap` knows to come back.
        """
        with suppress(Refused):
            try:
                self.backends.stop(ended.slot, ended.fence)
            except Refused:
                raise
            except PreviewError as error:
                _log.warning("backend not stopped", slot=ended.slot.id, error=str(error))
                if self.web_roots.live_release(ended.slot) is not None:
                    return
            with self.publishes.unless_leased_again(ended.slot, ended.fence):
                self.web_roots.clear(ended.slot, ended.fence)
                self.web_roots.tell(ended.slot, ended.fence, state, run_id=ended.run_id)

    def _end_publishes(self, lease: Lease) -> None:
        deadline = time.monotonic() + _CANCEL_LIMIT_S
        while self.publishes.cancel_all(lease):
            if time.monotonic() > deadline:
                raise TimedOut(
                    "publish_still_running",
                    f"a publish of {lease.run_id} did not end within {_CANCEL_LIMIT_S:.0f} s",
                    "ouroboros status shows whether the worker runs",
                )
            time.sleep(0.05)
