"""Leases: who holds a slot, until when, and with which fence.

The fence is a number that only rises per slot. Whoever acts on a slot carries the fence of the
lease it acted under, and every place with an effect refuses a lower one, so a worker that was
frozen and wakes up can change nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from heapq import heapify, heappop, heappush

from ouroboros.domain.slot import Slot

DEFAULT_TTL_S = 1800


class LeaseState(StrEnum):
    """The states of a lease; a slot that was never leased has none."""

    LEASED = "leased"
    RELEASED = "released"
    EXPIRED = "expired"


class SlotState(StrEnum):
    """What a reader of the slot list wants to know first."""

    FREE = "free"
    LEASED = "leased"
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Lease:
    """A live lease. `fence` is at least 1: 0 never counts as held."""

    slot: Slot
    run_id: str
    fence: int
    leased_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Holder:
    """A slot that is taken, as a waiting run is told of it."""

    slot_id: str
    run_id: str
    leased_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run's place in the queue: 1 is next."""

    run_id: str
    position: int
    holders: tuple[Holder, ...]


def estimate_starts(
    now: datetime, holders: Sequence[Holder], typical_s: float | None, count: int
) -> list[datetime]:
    """When the next `count` runs of the queue may get a slot; empty when there is no slot at all.

    Each lease is expected to last `typical_s` seconds, as those did that ended last; one that has
    lasted longer may end at any moment. Without such a number a lease is expected to end when it
    expires. An estimate and no promise: a heartbeat extends a lease, a release ends it.
    """
    ends = [
        (
            holder.expires_at
            if typical_s is None
            else max(now, holder.leased_at + timedelta(seconds=typical_s)),
            typical_s or (holder.expires_at - holder.leased_at).total_seconds(),
        )
        for holder in holders
    ]
    heapify(ends)
    starts: list[datetime] = []
    while ends and len(starts) < count:
        start, lasts_s = heappop(ends)
        starts.append(start)
        heappush(ends, (start + timedelta(seconds=lasts_s), lasts_s))
    return starts
