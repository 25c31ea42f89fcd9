"""Reading the runs: who asked for a slot, where it is, and what it published."""

from typing import Any

from ouroboros.adapters.control.connection import ControlPool, control
from ouroboros.domain.errors import NotFound

_LIST = """
    SELECT r.run_id, r.branch, r.state, r.priority, r.waiting_since, r.created_at,
        s.slot_id, s.fence, s.leased_at, s.heartbeat_at, s.expires_at,
        CASE WHEN r.state = 'waiting' THEN (
            SELECT count(*) FROM runs ahead WHERE ahead.state = 'waiting'
                AND (ahead.priority, -ahead.queue_seq) >= (r.priority, -r.queue_seq)
        ) END AS position,
        (SELECT publish_id FROM publishes p WHERE p.run_id = r.run_id
         ORDER BY p.seq DESC LIMIT 1) AS latest_publish
    FROM runs r LEFT JOIN slots s ON s.run_id = r.run_id AND s.lease_state = 'leased'
    WHERE (%(run_id)s::text IS NULL OR r.run_id = %(run_id)s)
        AND (%(before)s::text IS NULL OR (r.created_at, r.run_id) < (
            SELECT b.created_at, b.run_id FROM runs b WHERE b.run_id = %(before)s))
    ORDER BY r.created_at DESC, r.run_id DESC LIMIT %(limit)s
"""


class RunReader:
    """Queries over the runs; none changes anything."""

    def __init__(self, pool: ControlPool) -> None:
        self._pool = pool

    def get(self, run_id: str) -> dict[str, Any]:
        """One run with the slot it holds; raises `run_not_found`."""
        with control(self._pool) as db:
            row = db.execute(_LIST, {"run_id": run_id, "before": None, "limit": 1}).fetchone()
        if row is None:
            raise NotFound("run_not_found", f"there is no run {run_id[:80]!r}", "ouroboros runs")
        return row

    def list(self, limit: int, before: str | None = None) -> list[dict[str, Any]]:
        """The newest runs first, from below the run `before` on."""
        with control(self._pool) as db:
            return db.execute(_LIST, {"run_id": None, "limit": limit, "before": before}).fetchall()
