"""Watches what a command does to a database: locks held, tables rewritten, rows touched.

Locks are sampled every few milliseconds from the outside, so the command needs no change; a lock
held for less than a sample may be missed. Rewrites and rows come from the catalog and the
statistics, which are exact.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg import Connection

from ouroboros.adapters.cluster.sql import run
from ouroboros.plans.sql import statement

SAMPLE_S = 0.004
_ENDS_LIMIT_S = 1.0
# PostgreSQL manual 13.3.1: from here on a lock blocks writers (and the last one readers, too).
_STRONG = ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")
_SAMPLE = statement(
    "SELECT l.relation::bigint, l.mode FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
    " WHERE d.datname = %s AND l.granted AND l.relation >= 16384 AND l.mode = ANY(%s)"
)


@dataclass(slots=True)
class Observed:
    """What was seen. Durations are in milliseconds, by table and lock mode."""

    locks: list[dict[str, Any]] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)
    rows: dict[str, dict[str, int]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The observation as JSON."""
        return {"locks": self.locks, "tables_rewritten": self.rewritten, "rows": self.rows}


@contextmanager
def observing(admin_dsn: str, inside_dsn: str, database: str) -> Iterator[Observed]:
    """Observe a database for a block; the result is complete when the block has ended.

    `inside_dsn` enters the database as its own role, so nothing of ours runs its code.
    """
    observed = Observed()
    seen: dict[tuple[int, str], tuple[float, float]] = {}
    stop = threading.Event()
    before = _read(inside_dsn)
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        started = run(connection, statement("SELECT clock_timestamp()"))[0][0]
        watcher = threading.Thread(target=_watch, args=(connection, database, seen, stop))
        watcher.start()
        try:
            yield observed
        finally:
            stop.set()
            watcher.join()
        _wait_for_ends(connection, database, started)
    after = _read(inside_dsn)
    names = {**{oid: row[0] for oid, row in before.items()},
             **{oid: row[0] for oid, row in after.items()}}  # fmt: skip
    observed.locks = [
        {"table": names[oid], "mode": mode, "held_ms": round((last - first + SAMPLE_S) * 1000, 1)}
        for (oid, mode), (first, last) in sorted(seen.items())
        if oid in names
    ]
    observed.rewritten = sorted(
        row[0] for oid, row in after.items() if oid in before and before[oid][1] != row[1]
    )
    observed.rows = _rows_touched(before, after)


def _wait_for_ends(connection: Connection[Any], database: str, since: datetime) -> None:
    """Give the sessions of the command the time to end, which is when they report their counts."""
    ours = statement(
        "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND backend_start >= %s LIMIT 1",
        params=[database, since],
    )
    deadline = time.monotonic() + _ENDS_LIMIT_S
    while run(connection, ours) and time.monotonic() < deadline:
        time.sleep(SAMPLE_S)


def _watch(
    connection: Connection[Any],
    database: str,
    seen: dict[tuple[int, str], tuple[float, float]],
    stop: threading.Event,
) -> None:
    sample = statement(_SAMPLE.text, params=[database, list(_STRONG)])
    with suppress(psycopg.OperationalError):  # who uses the connection next is told
        while not stop.is_set():
            now = time.monotonic()
            for oid, mode in run(connection, sample):
                first, _ = seen.get((oid, mode), (now, now))
                seen[oid, mode] = (first, now)
            stop.wait(SAMPLE_S)


_TABLES = statement(
    "SELECT c.oid::bigint, format('%s.%s', n.nspname, c.relname), pg_relation_filenode(c.oid),"
    " coalesce(s.n_tup_ins, 0), coalesce(s.n_tup_upd, 0), coalesce(s.n_tup_del, 0)"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid"
    " WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
)
_Table = tuple[str, int, int, int, int]


def _read(dsn: str) -> dict[int, _Table]:
    with psycopg.connect(dsn, options="-c search_path=pg_catalog", autocommit=True) as connection:
        return {
            oid: (name, node, inserted, updated, deleted)
            for oid, name, node, inserted, updated, deleted in run(connection, _TABLES)
        }


def _rows_touched(before: dict[int, _Table], after: dict[int, _Table]) -> dict[str, dict[str, int]]:
    touched = {}
    for oid, (name, _, *counts) in after.items():
        start = before[oid][2:] if oid in before else (0, 0, 0)
        inserted, updated, deleted = (now - was for now, was in zip(counts, start, strict=True))
        if inserted or updated or deleted:
            touched[name] = {"inserted": inserted, "updated": updated, "deleted": deleted}
    return touched
