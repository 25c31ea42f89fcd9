"""The table `preview_db_resets`: one row for each attempt, settled whatever happens."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from ouroboros.adapters.cluster.sql import run
from ouroboros.domain.errors import PreviewError
from ouroboros.domain.reset import Source, Strategy
from ouroboros.domain.slot import Slot
from ouroboros.plans.sql import Statement, Text, statement


@dataclass(frozen=True, slots=True)
class ResetRow:
    """A row as the services need it."""

    id: int
    slot_id: str
    db_name: str
    run_id: str | None
    source: Source
    started_at: datetime
    details: Mapping[str, Any]


def begin(
    connection: Connection[Any], slot: Slot, source: Source, run_id: str | None, fence: int | None
) -> int:
    """Write the row of an attempt as `running` and return its id."""
    rows = run(
        connection,
        statement(
            "INSERT INTO preview_db_resets"
            " (run_id, slot_id, db_name, fence, strategy, seed_version, snapshot_version)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
            params=[
                run_id,
                slot.id,
                slot.database.name,
                fence or 0,
                str(source.strategy),
                source.seed_version,
                source.snapshot_version,
            ],
        ),
    )
    return int(rows[0][0])


def completion(reset_id: int, details: Mapping[str, Any], spent_ms: float) -> Statement:
    """Settle a row as completed, as the last statement of the swap; returns its details.

    `spent_ms` is how long the reset took until the swap was sent; PostgreSQL adds the rest.
    """
    return statement(
        "UPDATE preview_db_resets SET reset_status = 'completed',"
        " reset_completed_at = clock_timestamp(),"
        " details = details || {}::jsonb || jsonb_build_object('duration_ms', round((extract("
        "epoch FROM clock_timestamp() - statement_timestamp()) * 1000)::numeric + {}::numeric, 2))"
        " WHERE id = {}::bigint AND reset_status = 'running' RETURNING details",
        Text(_json(details)),
        Text(f"{spent_ms:.3f}"),
        Text(str(reset_id)),
    )


def complete(connection: Connection[Any], reset_id: int, details: Mapping[str, Any]) -> None:
    """Settle a row as completed whose process died after its swap."""
    _settle(connection, reset_id, "completed", details)


def fail(connection: Connection[Any], reset_id: int, error: PreviewError) -> None:
    """Settle a row as failed with the error; a row that is settled already stays as it is."""
    document = {**error.details, "message": error.message, "hint": error.hint}
    _settle(connection, reset_id, "failed", {"error": error.code, **document})


def running(connection: Connection[Any], slot: Slot) -> list[ResetRow]:
    """The rows of a slot that are not settled; under the slot's lock nobody works on them."""
    return _rows(connection, "reset_status = 'running' AND slot_id = %s", slot.id)


def latest_completed(connection: Connection[Any], slot: Slot | None = None) -> ResetRow | None:
    """The last completed reset to a version, of one slot or of any."""
    condition = "reset_status = 'completed' AND coalesce(seed_version, snapshot_version) <> ''"
    if slot is not None:
        rows = _rows(connection, f"{condition} AND slot_id = %s", slot.id, limit=1)
    else:
        rows = _rows(connection, condition, limit=1)
    return rows[0] if rows else None


def latest_of_version(connection: Connection[Any], source: Source) -> ResetRow | None:
    """The last completed reset to this version on any slot."""
    column = "seed_version" if source.strategy is Strategy.SEED else "snapshot_version"
    condition = f"reset_status = 'completed' AND {column} = %s"
    rows = _rows(connection, condition, source.version, limit=1)
    return rows[0] if rows else None


def templates_used_since(connection: Connection[Any], when: datetime) -> set[str]:
    """Templates of completed resets since a time; all of them while any reset is running."""
    rows = run(
        connection,
        statement(
            "SELECT DISTINCT details ->> 'template' FROM preview_db_resets"
            " WHERE reset_completed_at >= %s OR EXISTS"
            " (SELECT FROM preview_db_resets WHERE reset_status = 'running')",
            params=[when],
        ),
    )
    return {row[0] for row in rows if row[0] is not None}


def record_failure(connection: Connection[Any], work: str, error: PreviewError) -> None:
    """Leave an event about background work that failed."""
    details = {"work": work, "error": error.code, "message": error.message, "hint": error.hint}
    run(
        connection,
        statement(
            "INSERT INTO events (kind, details) VALUES ('database_work_failed', %s::jsonb)",
            params=[_json(details)],
        ),
    )


def recent_failures(connection: Connection[Any]) -> list[dict[str, Any]]:
    """Failures of background work in the last ten minutes, newest first."""
    rows = run(
        connection,
        statement(
            "SELECT at, details FROM events WHERE kind = 'database_work_failed'"
            " AND at > clock_timestamp() - interval '10 minutes' ORDER BY id DESC LIMIT 10"
        ),
    )
    return [{"at": at.isoformat(), **details} for at, details in rows]


def _rows(
    connection: Connection[Any], condition: str, *values: object, limit: int = 100
) -> list[ResetRow]:
    columns = (
        "id, slot_id, db_name, run_id, strategy, coalesce(seed_version, snapshot_version),"
        " reset_started_at, details"
    )
    text = f"SELECT {columns} FROM preview_db_resets WHERE {condition} ORDER BY id DESC"  # noqa: S608
    found = run(connection, statement(f"{text} LIMIT {limit}", params=values))
    return [
        ResetRow(id_, slot_id, name, run_id, Source(Strategy(how), version), started, details)
        for id_, slot_id, name, run_id, how, version, started, details in found
    ]


def _settle(
    connection: Connection[Any], reset_id: int, status: str, details: Mapping[str, Any]
) -> None:
    run(
        connection,
        statement(
            "UPDATE preview_db_resets SET reset_status = %s,"
            " reset_completed_at = clock_timestamp(), details = details || %s::jsonb"
            " WHERE id = %s AND reset_status = 'running'",
            params=[status, _json(details), reset_id],
        ),
    )


def _json(details: Mapping[str, Any]) -> str:
    return json.dumps(dict(details), default=str)
