"""Locking: an operator takes a slot out of the pool for a while, and puts it back."""

from dataclasses import dataclass

from ouroboros.adapters.control.slot_locks import SlotLocks
from ouroboros.domain.errors import BadInput
from ouroboros.domain.slot import Slot
from ouroboros.services.leasing.keep import Keeper

_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Locker:
    """The use cases with what they need."""

    locks: SlotLocks
    keeper: Keeper

    def lock(self, slot: Slot, reason: str, by: str) -> bool:
        """Let nobody be given the slot any more; who holds it keeps it to the end of its lease.

        `reason` is one line for people, of at most 200 characters. Returns whether that changed
        anything. Raises `invalid_reason`.
        """
        told = reason.strip()
        if not told or len(told) > _LONGEST_REASON or not told.isprintable():
            raise BadInput(
                "invalid_reason",
                f"a reason is one line of 1 to {_LONGEST_REASON} characters",
                "say why nobody may have the slot, for example 'disk is being changed'",
            )
        return self.locks.lock(slot, told, by)

    def unlock(self, slot: Slot, by: str) -> bool:
        """Put the slot back and give it to a run that waits; whether it was locked."""
        unlocked = self.locks.unlock(slot, by)
        self.keeper.reap()
        return unlocked
