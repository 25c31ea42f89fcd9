"""Leases in PostgreSQL: who holds which slot, decided by row locks and never by a reader.

Two locks, always in this order. The host's row is the turnstile: whoever changes WHO holds a
slot (grant, release, expiry) passes it, so a waiting run cannot be overlooked and the order of
the queue holds. The slot's row is the mutex of one lease: a heartbeat locks it first and then
compares with `clock_timestamp()` in a second statement, because `now()` is the transaction's
start and would renew a lease that expired while waiting for the lock.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ouroboros.adapters.control import lease_sql as sql
from ouroboros.adapters.control.connection import (
    ControlConnection,
    ControlPool,
    control,
    transaction,
)
from ouroboros.adapters.control.events import record_event
from ouroboros.domain.errors import Refused
from ouroboros.domain.lease import Holder, Lease, Waiting
from ouroboros.domain.slot import Slot, SlotPool

SLOTS_CHANNEL = "ouroboros_slots"
THIS_HOST = "local"
"""What the control plane calls the host of this installation."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease with whether its slot's database was already brought to its state."""

    lease: Lease
    is_reset: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """A lease that came to its end: its slot must be emptied."""

    slot: Slot
    run_id: str
    fence: int


class LeaseStore:
    """The leases of one host's slots."""

    def __init__(
        self, pool: ControlPool, slots: SlotPool, *, ttl_s: int, claim_ttl_s: int, host: str
    ) -> None:
        self._pool = pool
        self._slots = slots
        self._limits = {"host": host, "ttl_s": ttl_s, "claim_ttl_s": claim_ttl_s}

    def register(self) -> None:
        """Write the configured pool into the control plane; may be repeated.

        A slot that left the configuration keeps its row, because the row holds its fence.
        """
        ids = [slot.id for slot in self._slots]
        with transaction(self._pool) as db:
            db.execute(sql.REGISTER_HOST, self._limits)
            for slot in self._slots:
                values = {"slot_id": slot.id, "number": slot.number, **self._limits}
                db.execute(sql.REGISTER_SLOT, values)
            db.execute(sql.RETIRE_SLOTS, {"ids": ids, **self._limits})

    def retire(self) -> int:
        """Take every slot of this host out of the pool and end its leases; returns how many.

        Runs that wait go on waiting, for another host or until this one registers again.
        """
        with transaction(self._pool) as db:
            db.execute(sql.TURNSTILE, self._limits)
            db.execute(sql.RETIRE_SLOTS, {"ids": [], **self._limits})
            expired = db.execute(sql.EXPIRE, self._limits).fetchall()
            _record(db, "lease.expired", expired)
        return len(expired)

    def tell_alive(self) -> None:
        """Say that the worker of this host goes round; when it last did is a metric."""
        with control(self._pool) as db:
            db.execute(sql.TELL_ALIVE, self._limits)

    def enqueue(self, run_id: str, branch: str, priority: int = 0) -> None:
        """Put a run at the end of its priority, unless it waits or holds a slot already."""
        values = {"run_id": run_id, "branch": branch, "priority": priority}
        with transaction(self._pool) as db:
            if db.execute(sql.ENQUEUE, values).fetchone():
                record_event(db, "run.waiting", run_id=run_id, details={"priority": priority})

    def turn(self) -> list[Ended]:
        """Let overdue leases expire and give free slots to the runs that wait longest.

        Time that passed while nobody looked counts for no lease: PostgreSQL's clock made a step,
        or nothing ran and no lease could be extended (`lease_now`, migration 0005).
        Holds the host's row lock for its few statements. Returns the leases that expired.
        """
        with transaction(self._pool) as db:
            return self._turn(db)

    def ended(self) -> list[Ended]:
        """The slots that are leased by nobody, with the fence of their last lease."""
        with transaction(self._pool) as db:
            rows = db.execute(sql.ENDED, self._limits).fetchall()
        known = {slot.id: slot for slot in self._slots}
        return [
            Ended(known[row["slot_id"]], "", row["fence"])
            for row in rows
            if row["slot_id"] in known
        ]

    def claim(self, run_id: str) -> Claim | None:
        """The live lease of a run, extended by the TTL; None when it holds none."""
        with transaction(self._pool) as db:
            locked = db.execute(sql.LOCK_LEASE_OF_RUN, {"run_id": run_id}).fetchone()
            if locked is None:
                return None
            return self._extend(db, str(locked["slot_id"]), run_id)

    def heartbeat(self, slot: Slot, run_id: str) -> Lease:
        """Extend a live lease by the TTL; raises `lease_lost` when the run does not hold it."""
        with transaction(self._pool) as db:
            row = db.execute(sql.LOCK_SLOT, {"slot_id": slot.id}).fetchone()
            extended = self._extend(db, slot.id, run_id)
        if extended is None:
            raise _lost(slot, run_id, row)
        return extended.lease

    def release(
        self, slot: Slot, run_id: str, reason: str = "released", fence: int | None = None
    ) -> Ended:
        """End a live lease and hand the slot on in the same transaction (`lease_lost`).

        With a fence that very lease, and none that the run was given later.
        """
        values = {"slot_id": slot.id, "run_id": run_id, "fence": fence}
        with transaction(self._pool) as db:
            db.execute(sql.TURNSTILE, self._limits)
            row = db.execute(sql.LOCK_SLOT, values).fetchone()
            released = db.execute(sql.RELEASE, values).fetchone()
            if released is None:
                raise _lost(slot, run_id, row)
            record_event(
                db,
                "lease.released",
                slot_id=slot.id,
                run_id=run_id,
                fence=released["fence"],
                details={"reason": reason, "held_s": row["held_s"] if row else None},
            )
            self._turn(db)
        return Ended(slot, run_id, released["fence"])

    def idle(self, idle_s: float) -> list[tuple[Slot, int]]:
        """Leases, with their fences, that nobody has used for `idle_s` seconds; oldest first.

        Used means allocated, extended by a heartbeat, or published to. Empty while no run waits
        in vain; never one with a publish under way.
        """
        with control(self._pool) as db:
            row = db.execute(sql.WANTED, self._limits).fetchone()
            if row is None or row["wanted"] <= 0:
                return []
            rows = db.execute(sql.IDLE, {"idle_s": idle_s, **self._limits}).fetchall()
        known = {slot.id: slot for slot in self._slots}
        return [(known[row["slot_id"]], row["fence"]) for row in rows if row["slot_id"] in known]

    def evict(self, slot: Slot, fence: int, idle_s: float) -> Ended | None:
        """End a lease if it is still idle and a run still waits; hand the slot on at once."""
        values = {"slot_id": slot.id, "fence": fence, "idle_s": idle_s, **self._limits}
        with transaction(self._pool) as db:
            db.execute(sql.TURNSTILE, self._limits)
            wanted = db.execute(sql.WANTED, self._limits).fetchone()
            if wanted is None or wanted["wanted"] <= 0:
                return None
            rows = db.execute(sql.EVICT, values).fetchall()
            _record(db, "lease.evicted", rows)
            self._turn(db)
        return Ended(slot, rows[0]["run_id"], fence) if rows else None

    def leave_queue(self, run_id: str) -> bool:
        """Take a waiting run out of the queue; whether it was waiting."""
        with transaction(self._pool) as db:
            db.execute(sql.TURNSTILE, self._limits)
            left = db.execute(sql.LEAVE_QUEUE, {"run_id": run_id}).fetchone()
            if left is not None:
                record_event(db, "run.left_queue", run_id=run_id)
        return left is not None

    def waiting(self, run_id: str) -> Waiting:
        """A run's place in the queue with those who hold the slots; position 0: not waiting."""
        with control(self._pool) as db:
            place = db.execute(sql.POSITION, {"run_id": run_id}).fetchone()
            holders = db.execute(sql.HOLDERS).fetchall()
        return Waiting(
            run_id,
            int(place["position"]) if place else 0,
            tuple(Holder(**row) for row in holders),
        )

    def mark_reset(self, lease: Lease) -> None:
        """Record that the slot's database stands in the state this lease asked for."""
        values = {"slot_id": lease.slot.id, "fence": lease.fence}
        with transaction(self._pool) as db:
            if db.execute(sql.MARK_RESET, values).fetchone() is None:
                raise stale_fence(lease.slot, lease.fence)

    @contextmanager
    def under_fence(self, slot: Slot, fence: int) -> Iterator[ControlConnection]:
        """Do something whose effect must not outlive the lease, while its row cannot change.

        The slot's row stays locked FOR SHARE until the block ends, so no release or grant can
        come between the check and the effect. Keep the block short. Raises `stale_fence`.
        """
        values = {"slot_id": slot.id, "fence": fence}
        with transaction(self._pool) as db:
            if db.execute(sql.HOLD_FENCE, values).fetchone() is None:
                raise stale_fence(slot, fence)
            yield db

    def _turn(self, db: ControlConnection) -> list[Ended]:
        db.execute(sql.TURNSTILE, self._limits)
        _record(db, "lease.time_bridged", db.execute(sql.BRIDGE_GAP, self._limits).fetchall())
        db.execute(sql.LOOK, self._limits)
        expired = db.execute(sql.EXPIRE, self._limits).fetchall()
        granted = db.execute(sql.GRANT, self._limits).fetchall()
        _record(db, "lease.expired", expired)
        _record(db, "lease.granted", granted)
        if expired or granted:
            db.execute(sql.NOTIFY, {"channel": SLOTS_CHANNEL, "payload": ""})
        return [
            Ended(self._slots.parse(row["slot_id"]), row["run_id"], row["fence"])
            for row in expired
            if any(slot.id == row["slot_id"] for slot in self._slots)
        ]

    def _extend(self, db: ControlConnection, slot_id: str, run_id: str) -> Claim | None:
        values = {"slot_id": slot_id, "run_id": run_id, **self._limits}
        row = db.execute(sql.EXTEND, values).fetchone()
        if row is None:
            return None
        lease = Lease(
            self._slots.by_number(row["slot_num"]),
            row["run_id"],
            row["fence"],
            row["leased_at"],
            row["expires_at"],
        )
        return Claim(lease, is_reset=row["reset_fence"] == row["fence"])


def stale_fence(slot: Slot, fence: int) -> Refused:
    """The refusal of an effect under a lease that is no longer the slot's."""
    return Refused(
        "stale_fence",
        f"fence {fence} of {slot.id} is no longer its live lease",
        "ouroboros status",
        {"slot_id": slot.id, "fence": fence},
    )


def _record(db: ControlConnection, kind: str, rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        details = {key: value for key, value in row.items() if key in ("held_s", "gap_s")}
        record_event(
            db,
            kind,
            slot_id=row["slot_id"],
            run_id=row["run_id"],
            fence=row["fence"],
            details=details,
        )


def _lost(slot: Slot, run_id: str, row: dict[str, Any] | None) -> Refused:
    holder = row["run_id"] if row else None
    if holder == run_id:
        reason = "expired"
    elif holder is not None:
        reason = "leased_by_another_run"
    else:
        reason = str(row["lease_state"] or "never_leased") if row else "unknown_slot"
    return Refused(
        "lease_lost",
        f"run {run_id} does not hold {slot.id} ({reason})",
        f"scripts/preview-slot-allocate.sh --run-id {run_id} --strategy seed --seed-version …",
        {"slot_id": slot.id, "run_id": run_id, "reason": reason, "heartbeat_updated": False},
    )
