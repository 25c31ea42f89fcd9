"""What the control plane's tables tell as numbers: slots, queue, publishes, resets, events.

Counted from the rows at the time of asking and not kept in a process, so a restart of the API
loses nothing, and the numbers agree with every list that is shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ouroboros.adapters.control.connection import ControlConnection, ControlPool, control

_QUEUE = """
    SELECT count(*) AS length,
        coalesce(extract(epoch FROM clock_timestamp() - min(waiting_since)), 0)::float AS oldest_s
    FROM runs WHERE state = 'waiting'
"""
_PUBLISHES = "SELECT state, count(*) AS count FROM publishes GROUP BY state"
_OLDEST = """
    SELECT state, extract(epoch FROM clock_timestamp()
        - min(CASE state WHEN 'running' THEN started_at ELSE queued_at END))::float AS oldest_s
    FROM publishes WHERE state IN ('queued', 'running') GROUP BY state
"""
_PUBLISH_TIMES = """
    SELECT state, NULL AS step, width_bucket(took_s, %(bounds)s::float[]) AS bucket,
        count(*) AS count, sum(took_s) AS sum_s
    FROM (SELECT state, extract(epoch FROM finished_at - started_at)::float AS took_s
        FROM publishes WHERE finished_at >= started_at) ended GROUP BY state, bucket
"""
_STEP_TIMES = """
    SELECT state, step, width_bucket(took_s, %(bounds)s::float[]) AS bucket,
        count(*) AS count, sum(took_s) AS sum_s
    FROM (SELECT state, step, extract(epoch FROM finished_at - started_at)::float AS took_s
        FROM publish_steps WHERE finished_at >= started_at) ended GROUP BY state, step, bucket
"""
_RESETS = """
    SELECT strategy, reset_status, count(*) AS count FROM preview_db_resets
    GROUP BY strategy, reset_status
"""
_RESET_TIMES = """
    SELECT path AS state, NULL AS step, width_bucket(took_s, %(bounds)s::float[]) AS bucket,
        count(*) AS count, sum(took_s) AS sum_s
    FROM (SELECT details ->> 'path' AS path, (details ->> 'duration_ms')::float / 1000 AS took_s
        FROM preview_db_resets WHERE reset_status = 'completed') done
    WHERE path IS NOT NULL AND took_s IS NOT NULL GROUP BY path, bucket
"""
# Rows that a transaction still under way may come before are counted anew each time.
_SETTLED = """
    SELECT coalesce(min(id) FILTER (WHERE at > clock_timestamp() - interval '10 minutes') - 1,
        max(id), %(after)s) AS id FROM events WHERE id > %(after)s
"""
_EVENTS = """
    SELECT kind, count(*) FILTER (WHERE id <= %(settled)s) AS settled, count(*) AS count
    FROM events WHERE id > %(after)s GROUP BY kind
"""
_WORKERS = """
    SELECT host, extract(epoch FROM clock_timestamp() - worker_at)::float AS age_s
    FROM hosts WHERE worker_at IS NOT NULL
"""
_TYPICAL_PUBLISH = """
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY took_s) AS typical_s FROM (
        SELECT extract(epoch FROM finished_at - started_at)::float AS took_s FROM publishes
        WHERE repo = %(repo)s AND state = 'ready' AND finished_at >= started_at
            AND (details ? 'rollback_to') = %(is_rollback)s
        ORDER BY seq DESC LIMIT 5) lately
"""

PUBLISH_BOUNDS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
STEP_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
RESET_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 30.0, 120.0)


@dataclass(slots=True)
class Times:
    """How long things of one kind took: a count for each bound, and one above the last."""

    bounds: Sequence[float]
    counts: list[int] = field(default_factory=list)
    sum_s: float = 0.0

    def add(self, bucket: int, count: int, sum_s: float) -> None:
        """Add what PostgreSQL counted in one bucket (width_bucket: 0 is below the first bound)."""
        self.counts = self.counts or [0] * (len(self.bounds) + 1)
        self.counts[bucket] += count
        self.sum_s += sum_s

    def cumulative(self) -> list[tuple[str, float]]:
        """How many took no longer than each bound, as histograms are told."""
        total, found = 0, []
        for bound, count in zip([*map(str, self.bounds), "+Inf"], self.counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found


@dataclass(frozen=True, slots=True)
class Measures:
    """One look at the tables. Times are in seconds (`_s`)."""

    queue_length: int
    queue_oldest_s: float
    publishes: dict[str, int]
    """By state."""
    publish_oldest_s: dict[str, float]
    """How long the oldest that is queued or running has been so."""
    publish_times: dict[tuple[str, ...], Times]
    """By final state."""
    step_times: dict[tuple[str, ...], Times]
    """By step and how it ended."""
    resets: dict[tuple[str, str], int]
    """By strategy and status."""
    reset_times: dict[tuple[str, ...], Times]
    """By the path that a reset took."""
    events: dict[str, int]
    """By kind, since the installation began."""
    worker_age_s: dict[str, float]
    """Since the worker of a host last went round, by host."""


class MeasureReader:
    """Takes the measures; changes nothing.

    Events are never deleted and may become many, so those of before are counted once a process.
    """

    def __init__(self, pool: ControlPool) -> None:
        self._pool = pool
        self._counted: tuple[int, dict[str, int]] = (0, {})

    def read(self) -> Measures:
        """Look once; raises `control_plane_unreachable`."""
        with control(self._pool) as db:
            [queue] = db.execute(_QUEUE).fetchall()
            return Measures(
                queue["length"],
                queue["oldest_s"],
                {row["state"]: row["count"] for row in db.execute(_PUBLISHES)},
                {row["state"]: row["oldest_s"] for row in db.execute(_OLDEST)},
                _times(db, _PUBLISH_TIMES, PUBLISH_BOUNDS),
                _times(db, _STEP_TIMES, STEP_BOUNDS),
                {
                    (row["strategy"], row["reset_status"]): row["count"]
                    for row in db.execute(_RESETS)
                },
                _times(db, _RESET_TIMES, RESET_BOUNDS),
                self._events(db),
                {row["host"]: row["age_s"] for row in db.execute(_WORKERS)},
            )

    def typical_publish_s(self, repo: str, *, is_rollback: bool) -> float | None:
        """How long the last publishes of a repository that became ready took, at the median."""
        with control(self._pool) as db:
            values = {"repo": repo, "is_rollback": is_rollback}
            row = db.execute(_TYPICAL_PUBLISH, values).fetchone()
        return row["typical_s"] if row else None

    def _events(self, db: ControlConnection) -> dict[str, int]:
        after, before = self._counted
        row = db.execute(_SETTLED, {"after": after}).fetchone()
        settled = int(row["id"]) if row else after
        kept, told = dict(before), dict(before)
        for found in db.execute(_EVENTS, {"after": after, "settled": settled}):
            kind = found["kind"]
            kept[kind] = before.get(kind, 0) + found["settled"]
            told[kind] = before.get(kind, 0) + found["count"]
        self._counted = settled, kept
        return told


def _times(
    db: ControlConnection, query: str, bounds: Sequence[float]
) -> dict[tuple[str, ...], Times]:
    found: dict[tuple[str, ...], Times] = {}
    for row in db.execute(query, {"bounds": list(bounds)}):
        labels = _labels(row)
        found.setdefault(labels, Times(bounds)).add(row["bucket"], row["count"], row["sum_s"])
    return found


def _labels(row: dict[str, Any]) -> tuple[str, ...]:
    return (row["state"],) if row["step"] is None else (row["step"], row["state"])
