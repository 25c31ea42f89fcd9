"""Eviction: ends the lease that was idle longest when runs wait in vain; off unless it is set.

Apart from keeping leases, because it takes a slot from a run that has done nothing wrong. Never
one that is being published to, nor one that was extended, published to or visited lately.
"""

from dataclasses import dataclass

from ouroboros.adapters.control.leases import Ended, LeaseStore
from ouroboros.adapters.visits import quiet_s
from ouroboros.services.leasing.keep import Keeper


@dataclass(frozen=True, slots=True)
class Evictor:
    """The use case with what it needs."""

    leases: LeaseStore
    keeper: Keeper
    idle_after_s: int
    """Seconds without use after which a lease may be ended; 0: never."""

    def evict(self) -> Ended | None:
        """End at most one lease and hand its slot on; may be repeated."""
        if self.idle_after_s == 0:
            return None
        for slot, fence in self.leases.idle(self.idle_after_s):
            if quiet_s(slot) < self.idle_after_s:
                continue
            ended = self.leases.evict(slot, fence, self.idle_after_s)
            if ended is not None:
                self.keeper.empty(ended, "expired")
                return ended
        return None
