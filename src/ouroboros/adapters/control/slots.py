"""Reading the slots: the list that people, workers and the dashboard look at, and slot locks."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any

from ouroboros.adapters.control.connection import ControlPool, control
from ouroboros.domain.errors import Refused
from ouroboros.domain.lease import Holder, estimate_starts
from ouroboros.domain.slot import Slot, SlotPool

_LIST = """
    SELECT s.slot_id, s.slot_num, s.lease_state, s.run_id, s.fence, s.leased_at, s.heartbeat_at,
        s.expires_at, s.claimed, s.changed_at, s.locked_at, s.locked_by, s.locked_reason, r.branch,
        live.publish_id AS live_publish, live.commit_sha, live.finished_at AS published_at,
        live.details #>> '{picture,small}' AS picture,
        latest.publish_id AS latest_publish, latest.state AS latest_state, latest.failed_step,
        step.step, step.position AS step_position,
        reset.id AS reset_id, reset.strategy, reset.seed_version, reset.snapshot_version,
        reset.details ->> 'fingerprint' AS database_fingerprint
    FROM slots s
    LEFT JOIN runs r ON r.run_id = s.run_id
    LEFT JOIN publishes live ON live.publish_id = s.live_publish AND s.lease_state = 'leased'
    LEFT JOIN LATERAL (
        SELECT * FROM publishes p WHERE p.slot_id = s.slot_id AND p.fence = s.fence
            AND p.run_id = s.run_id ORDER BY p.seq DESC LIMIT 1
    ) latest ON true
    LEFT JOIN LATERAL (
        SELECT * FROM publish_steps t WHERE t.publish_id = latest.publish_id
            AND latest.state = 'running' ORDER BY t.position DESC LIMIT 1
    ) step ON true
    LEFT JOIN LATERAL (
        SELECT * FROM preview_db_resets d WHERE d.slot_id = s.slot_id
            AND d.reset_status = 'completed' ORDER BY d.id DESC LIMIT 1
    ) reset ON true
    WHERE s.in_pool ORDER BY s.slot_num
"""
_QUEUE = """
    SELECT row_number() OVER (ORDER BY priority DESC, queue_seq) AS position, run_id, branch,
        priority, waiting_since
    FROM runs WHERE state = 'waiting' ORDER BY priority DESC, queue_seq
"""
_HOLDERS = """
    SELECT slot_id, run_id, leased_at, expires_at FROM slots
    WHERE lease_state = 'leased' AND in_pool AND locked_at IS NULL
"""
_TYPICAL = """
    SELECT clock_timestamp() AS now, (
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY held_s) FROM (
            SELECT (details ->> 'held_s')::float AS held_s FROM events
            WHERE kind IN ('lease.released', 'lease.expired', 'lease.evicted')
                AND details ->> 'held_s' IS NOT NULL
            ORDER BY id DESC LIMIT 20) ended) AS typical_s
"""
_HOLDER = "SELECT run_id, fence FROM slots WHERE slot_id = %(slot_id)s AND lease_state = 'leased'"
_RESETS = """
    SELECT * FROM preview_db_resets
    WHERE %(slot_id)s::text IS NULL OR slot_id = %(slot_id)s ORDER BY id DESC LIMIT %(limit)s
"""
_TRY_WORK = "SELECT pg_try_advisory_lock(%(space)s, %(number)s) AS locked"
_END_WORK = "SELECT pg_advisory_unlock(%(space)s, %(number)s)"
_WORK_SPACE = 0x0B0B
_WORK_WAIT_S = 60.0
_WORK_POLL_S = 0.05


class SlotReader:
    """Queries over the slots; none changes anything."""

    def __init__(self, pool: ControlPool, slots: SlotPool) -> None:
        self._pool = pool
        self._slots = slots

    def all(self) -> list[dict[str, Any]]:
        """One document per slot of the pool, in the order of their numbers."""
        with control(self._pool) as db:
            rows = db.execute(_LIST).fetchall()
        known = {slot.id: slot for slot in self._slots}
        return [_present(known[row["slot_id"]], row) for row in rows if row["slot_id"] in known]

    def get(self, slot: Slot) -> dict[str, Any]:
        """The document of one slot."""
        return next(document for document in self.all() if document["slot_id"] == slot.id)

    def queue(self) -> list[dict[str, Any]]:
        """The waiting runs, next one first, each with when it may get a slot (`estimated_at`)."""
        with control(self._pool) as db:
            waiting = db.execute(_QUEUE).fetchall()
            if not waiting:
                return []
            holders = [Holder(**row) for row in db.execute(_HOLDERS).fetchall()]
            lately = db.execute(_TYPICAL).fetchone() or {}
        starts = estimate_starts(lately["now"], holders, lately["typical_s"], len(waiting))
        return [
            {**row, "estimated_at": start}
            for row, start in zip_longest(waiting, starts, fillvalue=None)
            if row is not None
        ]

    def holder(self, slot: Slot) -> tuple[str, int] | None:
        """The run and fence that hold a slot now; None when it is free."""
        with control(self._pool) as db:
            row = db.execute(_HOLDER, {"slot_id": slot.id}).fetchone()
        return (row["run_id"], row["fence"]) if row else None

    def resets(self, slot: Slot | None, limit: int) -> list[dict[str, Any]]:
        """The newest rows of `preview_db_resets`, of one slot or of all."""
        with control(self._pool) as db:
            values = {"slot_id": slot.id if slot else None, "limit": limit}
            return db.execute(_RESETS, values).fetchall()

    @contextmanager
    def exclusive_work(self, slot: Slot, run_id: str | None = None) -> Iterator[None]:
        """Let one process at a time empty, reset or migrate a slot; raises `slot_busy` after 60 s.

        With a run only if it holds the slot when its turn has come (`lease_lost`). A session lock
        of PostgreSQL: a process that dies gives it back by dying. Whoever waits holds no
        connection meanwhile, so many may wait.
        """
        deadline = time.monotonic() + _WORK_WAIT_S
        while True:
            with self._try_work(slot) as mine:
                if mine:
                    if run_id is not None:
                        self.require_holder(slot, run_id)
                    yield
                    return
            if time.monotonic() > deadline:
                raise Refused(
                    "slot_busy",
                    f"another command is resetting or migrating {slot.id}",
                    "try again when it is done; ouroboros status shows it",
                    {"slot_id": slot.id},
                )
            time.sleep(_WORK_POLL_S)

    def require_holder(self, slot: Slot, run_id: str) -> int:
        """The fence under which the run holds the slot; raises `lease_lost`."""
        holder = self.holder(slot)
        if holder is None or holder[0] != run_id:
            raise Refused(
                "lease_lost",
                f"run {run_id} lost {slot.id} before its turn came",
                "allocate again",
                {"slot_id": slot.id, "run_id": run_id},
            )
        return holder[1]

    @contextmanager
    def _try_work(self, slot: Slot) -> Iterator[bool]:
        key = {"space": _WORK_SPACE, "number": slot.number}
        with control(self._pool) as db:
            row = db.execute(_TRY_WORK, key).fetchone()
            mine = bool(row and row["locked"])
            try:
                yield mine
            finally:
                if mine:
                    db.execute(_END_WORK, key)


def _present(slot: Slot, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "slot_id": slot.id,
        "state": _state(row),
        "run_id": row["run_id"],
        "branch": row["branch"],
        "lease_state": row["lease_state"],
        "leased_at": row["leased_at"],
        "heartbeat_at": row["heartbeat_at"],
        "expires_at": row["expires_at"],
        "fence": row["fence"],
        "publish_id": row["live_publish"],
        "commit_sha": row["commit_sha"],
        "published_at": row["published_at"],
        "picture": row["picture"],
        "latest_publish": row["latest_publish"],
        "failed_step": row["failed_step"],
        "step": row["step"],
        "step_position": row["step_position"],
        "url": slot.preview_url,
        "web_port": slot.web_port,
        "api_port": slot.api_port,
        "db_name": slot.database.name,
        "strategy": row["strategy"],
        "seed_version": row["seed_version"],
        "snapshot_version": row["snapshot_version"],
        "database_fingerprint": row["database_fingerprint"],
        "locked_at": row["locked_at"],
        "locked_by": row["locked_by"],
        "locked_reason": row["locked_reason"],
    }


def _state(row: dict[str, Any]) -> str:
    if row["lease_state"] != "leased":
        return "free" if row["locked_at"] is None else "locked"
    if row["latest_state"] in ("queued", "running"):
        return "building"
    if row["latest_state"] == "failed":
        return "failed"
    return "ready" if row["live_publish"] else "leased"
