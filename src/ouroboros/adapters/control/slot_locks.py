"""Locks of an operator on slots, in PostgreSQL: nobody is given a locked slot.

Taken under the host's turnstile like a grant, so a slot that is locked is not granted any more
when the lock is answered. Whoever holds the slot keeps it; only an end of that lease hands it on
to nobody.
"""

from ouroboros.adapters.control import lease_sql
from ouroboros.adapters.control.connection import ControlPool, transaction
from ouroboros.adapters.control.events import record_event
from ouroboros.domain.slot import Slot

_LOCK = """
    UPDATE slots SET locked_at = coalesce(locked_at, clock_timestamp()), locked_by = %(by)s,
        locked_reason = %(reason)s
    WHERE slot_id = %(slot_id)s AND locked_reason IS DISTINCT FROM %(reason)s
    RETURNING run_id
"""
_UNLOCK = """
    UPDATE slots SET locked_at = NULL, locked_by = NULL, locked_reason = NULL
    WHERE slot_id = %(slot_id)s AND locked_at IS NOT NULL RETURNING slot_id
"""


class SlotLocks:
    """The locks of one host's slots."""

    def __init__(self, pool: ControlPool, host: str) -> None:
        self._pool = pool
        self._host = {"host": host}

    def lock(self, slot: Slot, reason: str, by: str) -> bool:
        """Lock a slot, or change the reason; false when it is locked for this reason already."""
        values = {"slot_id": slot.id, "reason": reason, "by": by}
        with transaction(self._pool) as db:
            db.execute(lease_sql.TURNSTILE, self._host)
            locked = db.execute(_LOCK, values).fetchone()
            if locked is not None:
                details = {"reason": reason, "by": by}
                record_event(
                    db, "slot.locked", slot_id=slot.id, run_id=locked["run_id"], details=details
                )
        return locked is not None

    def unlock(self, slot: Slot, by: str) -> bool:
        """Unlock a slot; false when it was not locked. A turn of the leases hands it on."""
        with transaction(self._pool) as db:
            db.execute(lease_sql.TURNSTILE, self._host)
            unlocked = db.execute(_UNLOCK, {"slot_id": slot.id}).fetchone()
            if unlocked is not None:
                record_event(db, "slot.unlocked", slot_id=slot.id, details={"by": by})
        return unlocked is not None
