"""Leases: who holds a slot, until when, and with which fence.

The fence is a number that only rises per slot. Whoever acts on a slot carries the fence of the
lease it acted under, and every place with an effect refuses a lower one, so a worker that was
frozen and wakes up can change nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

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
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run's place in the queue: 1 is next."""

    run_id: str
    position: int
    holders: tuple[Holder, ...]
