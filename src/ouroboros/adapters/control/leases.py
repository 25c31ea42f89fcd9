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

_REGISTER_HOST = "INSERT INTO hosts (host) VALUES (%(host)s) ON CONFLICT DO NOTHING"
_REGISTER_SLOT = """
    INSERT INTO slots (slot_id, slot_num, host) VALUES (%(slot_id)s, %(number)s, %(host)s)
    ON CONFLICT (slot_id) DO UPDATE SET in_pool = true, host = EXCLUDED.host
    WHERE NOT slots.in_pool OR slots.host <> EXCLUDED.host
"""
_RETIRE_SLOTS = """
    UPDATE slots SET in_pool = false WHERE host = %(host)s AND in_pool AND slot_id <> ALL(%(ids)s)
"""
_ENQUEUE = """
    INSERT INTO runs AS r (run_id, branch, priority, state, queue_seq, waiting_since)
    VALUES (%(run_id)s, %(branch)s, %(priority)s, 'waiting', nextval('queue_order'),
            clock_timestamp())
    ON CONFLICT (run_id) DO UPDATE
    SET branch = EXCLUDED.branch, priority = EXCLUDED.priority, state = 'waiting',
        queue_seq = EXCLUDED.queue_seq, waiting_since = EXCLUDED.waiting_since
    WHERE r.state IN ('new', 'ended')
    RETURNING run_id
"""
_TURNSTILE = "SELECT 1 FROM hosts WHERE host = %(host)s FOR UPDATE"
_EXPIRE = """
    WITH overdue AS (
        SELECT slot_id, run_id FROM slots
        WHERE host = %(host)s AND lease_state = 'leased' AND expires_at <= clock_timestamp()
        FOR UPDATE
    ), ended AS (
        UPDATE runs SET state = 'ended' FROM overdue WHERE runs.run_id = overdue.run_id
    ), stopped AS (
        UPDATE publishes SET cancel_requested = true,
            state = CASE state WHEN 'queued' THEN 'cancelled' ELSE state END,
            finished_at = CASE state WHEN 'queued' THEN clock_timestamp() END
        FROM overdue
        WHERE publishes.run_id = overdue.run_id AND publishes.state IN ('queued', 'running')
    )
    UPDATE slots s SET lease_state = 'expired', run_id = NULL, leased_at = NULL,
        expires_at = NULL, claimed = false
    FROM overdue WHERE s.slot_id = overdue.slot_id
    RETURNING s.slot_id, overdue.run_id, s.fence
"""
_GRANT = """
    WITH free AS (
        SELECT slot_id, row_number() OVER (ORDER BY slot_num) AS turn FROM slots
        WHERE host = %(host)s AND in_pool AND lease_state IS DISTINCT FROM 'leased'
    ), queue AS (
        SELECT run_id, row_number() OVER (ORDER BY priority DESC, queue_seq) AS turn FROM runs
        WHERE state = 'waiting'
    ), pairs AS (SELECT slot_id, run_id FROM free JOIN queue USING (turn)),
    activated AS (
        UPDATE runs SET state = 'active', queue_seq = NULL, waiting_since = NULL
        FROM pairs WHERE runs.run_id = pairs.run_id
    )
    UPDATE slots s SET lease_state = 'leased', run_id = pairs.run_id, fence = s.fence + 1,
        leased_at = clock_timestamp(), heartbeat_at = NULL, claimed = false, live_publish = NULL,
        expires_at = clock_timestamp() + make_interval(secs => %(claim_ttl_s)s)
    FROM pairs WHERE s.slot_id = pairs.slot_id
    RETURNING s.slot_id, s.run_id, s.fence
"""
_LOCK_LEASE_OF_RUN = """
    SELECT slot_id FROM slots WHERE run_id = %(run_id)s AND lease_state = 'leased' FOR UPDATE
"""
_EXTEND = """
    UPDATE slots SET claimed = true, heartbeat_at = clock_timestamp(),
        expires_at = greatest(expires_at, clock_timestamp() + make_interval(secs => %(ttl_s)s))
    WHERE slot_id = %(slot_id)s AND run_id = %(run_id)s AND lease_state = 'leased'
        AND expires_at > clock_timestamp()
    RETURNING slot_id, slot_num, run_id, fence, leased_at, expires_at, reset_fence
"""
_LOCK_SLOT = "SELECT slot_id, run_id, lease_state FROM slots WHERE slot_id = %(slot_id)s FOR UPDATE"
_RELEASE = """
    WITH ended AS (UPDATE runs SET state = 'ended' WHERE run_id = %(run_id)s)
    UPDATE slots SET lease_state = 'released', run_id = NULL, leased_at = NULL,
        expires_at = NULL, claimed = false
    WHERE slot_id = %(slot_id)s AND run_id = %(run_id)s AND lease_state = 'leased'
    RETURNING fence
"""
_LEAVE_QUEUE = """
    UPDATE runs SET state = 'ended', queue_seq = NULL, waiting_since = NULL
    WHERE run_id = %(run_id)s AND state = 'waiting' RETURNING run_id
"""
_POSITION = """
    SELECT count(*) AS position FROM runs ahead, runs own
    WHERE own.run_id = %(run_id)s AND own.state = 'waiting' AND ahead.state = 'waiting'
        AND (ahead.priority, -ahead.queue_seq) >= (own.priority, -own.queue_seq)
"""
_HOLDERS = """
    SELECT slot_id, run_id, expires_at FROM slots
    WHERE lease_state = 'leased' AND in_pool ORDER BY slot_num
"""
_MARK_RESET = """
    UPDATE slots SET reset_fence = %(fence)s
    WHERE slot_id = %(slot_id)s AND fence = %(fence)s AND lease_state = 'leased' RETURNING slot_id
"""
_HOLD_FENCE = """
    SELECT slot_id FROM slots
    WHERE slot_id = %(slot_id)s AND fence = %(fence)s AND lease_state = 'leased'
        AND expires_at > clock_timestamp()
    FOR SHARE
"""
_NOTIFY = "SELECT pg_notify(%(channel)s, %(payload)s)"


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
            db.execute(_REGISTER_HOST, self._limits)
            for slot in self._slots:
                values = {"slot_id": slot.id, "number": slot.number, **self._limits}
                db.execute(_REGISTER_SLOT, values)
            db.execute(_RETIRE_SLOTS, {"ids": ids, **self._limits})

    def enqueue(self, run_id: str, branch: str, priority: int = 0) -> None:
        """Put a run at the end of its priority, unless it waits or holds a slot already."""
        values = {"run_id": run_id, "branch": branch, "priority": priority}
        with transaction(self._pool) as db:
            if db.execute(_ENQUEUE, values).fetchone():
                record_event(db, "run.waiting", run_id=run_id, details={"priority": priority})

    def turn(self) -> list[Ended]:
        """Let overdue leases expire and give free slots to the runs that wait longest.

        Holds the host's row lock for its few statements. Returns the leases that expired.
        """
        with transaction(self._pool) as db:
            return self._turn(db)

    def claim(self, run_id: str) -> Claim | None:
        """The live lease of a run, extended by the TTL; None when it holds none."""
        with transaction(self._pool) as db:
            locked = db.execute(_LOCK_LEASE_OF_RUN, {"run_id": run_id}).fetchone()
            if locked is None:
                return None
            return self._extend(db, str(locked["slot_id"]), run_id)

    def heartbeat(self, slot: Slot, run_id: str) -> Lease:
        """Extend a live lease by the TTL; raises `lease_lost` when the run does not hold it."""
        with transaction(self._pool) as db:
            row = db.execute(_LOCK_SLOT, {"slot_id": slot.id}).fetchone()
            extended = self._extend(db, slot.id, run_id)
        if extended is None:
            raise _lost(slot, run_id, row)
        return extended.lease

    def release(self, slot: Slot, run_id: str, reason: str = "released") -> Ended:
        """End a live lease and hand the slot on in the same transaction (`lease_lost`)."""
        values = {"slot_id": slot.id, "run_id": run_id}
        with transaction(self._pool) as db:
            db.execute(_TURNSTILE, self._limits)
            row = db.execute(_LOCK_SLOT, values).fetchone()
            released = db.execute(_RELEASE, values).fetchone()
            if released is None:
                raise _lost(slot, run_id, row)
            record_event(
                db,
                "lease.released",
                slot_id=slot.id,
                run_id=run_id,
                fence=released["fence"],
                details={"reason": reason},
            )
            self._turn(db)
        return Ended(slot, run_id, released["fence"])

    def leave_queue(self, run_id: str) -> bool:
        """Take a waiting run out of the queue; whether it was waiting."""
        with transaction(self._pool) as db:
            left = db.execute(_LEAVE_QUEUE, {"run_id": run_id}).fetchone()
            if left is not None:
                record_event(db, "run.left_queue", run_id=run_id)
        return left is not None

    def waiting(self, run_id: str) -> Waiting:
        """A run's place in the queue with those who hold the slots; position 0: not waiting."""
        with control(self._pool) as db:
            place = db.execute(_POSITION, {"run_id": run_id}).fetchone()
            holders = db.execute(_HOLDERS).fetchall()
        return Waiting(
            run_id,
            int(place["position"]) if place else 0,
            tuple(Holder(row["slot_id"], row["run_id"], row["expires_at"]) for row in holders),
        )

    def mark_reset(self, lease: Lease) -> None:
        """Record that the slot's database stands in the state this lease asked for."""
        values = {"slot_id": lease.slot.id, "fence": lease.fence}
        with transaction(self._pool) as db:
            if db.execute(_MARK_RESET, values).fetchone() is None:
                raise stale_fence(lease.slot, lease.fence)

    @contextmanager
    def under_fence(self, slot: Slot, fence: int) -> Iterator[ControlConnection]:
        """Do something whose effect must not outlive the lease, while its row cannot change.

        The slot's row stays locked FOR SHARE until the block ends, so no release or grant can
        come between the check and the effect. Keep the block short. Raises `stale_fence`.
        """
        values = {"slot_id": slot.id, "fence": fence}
        with transaction(self._pool) as db:
            if db.execute(_HOLD_FENCE, values).fetchone() is None:
                raise stale_fence(slot, fence)
            yield db

    def _turn(self, db: ControlConnection) -> list[Ended]:
        db.execute(_TURNSTILE, self._limits)
        expired = db.execute(_EXPIRE, self._limits).fetchall()
        granted = db.execute(_GRANT, self._limits).fetchall()
        _record(db, "lease.expired", expired)
        _record(db, "lease.granted", granted)
        if expired or granted:
            db.execute(_NOTIFY, {"channel": SLOTS_CHANNEL, "payload": ""})
        return [
            Ended(self._slots.parse(row["slot_id"]), row["run_id"], row["fence"])
            for row in expired
            if any(slot.id == row["slot_id"] for slot in self._slots)
        ]

    def _extend(self, db: ControlConnection, slot_id: str, run_id: str) -> Claim | None:
        values = {"slot_id": slot_id, "run_id": run_id, **self._limits}
        row = db.execute(_EXTEND, values).fetchone()
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
        record_event(db, kind, slot_id=row["slot_id"], run_id=row["run_id"], fence=row["fence"])


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
