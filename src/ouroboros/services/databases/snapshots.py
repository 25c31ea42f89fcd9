"""Snapshots: the state of a slot's database under a name, to reset any slot to.

A snapshot is a template like that of a seed, taken by copying the slot's database while nobody
is connected to it, which lasts as long as the copy. With an archive it is also a file that can
be kept, carried elsewhere and read by pg_restore. A name is never given twice.
"""

import uuid
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from psycopg import Connection

from ouroboros.adapters.cluster.archive import write_archive
from ouroboros.adapters.cluster.catalog import DatabaseRecord, bytes_of, read_catalog
from ouroboros.adapters.cluster.locks import Lock, holding
from ouroboros.adapters.cluster.seed_files import find_file, list_versions
from ouroboros.adapters.cluster.sql import run, run_all
from ouroboros.adapters.cluster.swap import close_and_empty
from ouroboros.adapters.cluster.workshop import Workshop
from ouroboros.domain.errors import NotFound, Refused
from ouroboros.domain.failpoint import failpoint
from ouroboros.domain.reset import Source, Strategy
from ouroboros.domain.slot import Slot, is_retired
from ouroboros.domain.template import Mark, template_name
from ouroboros.plans import databases as plan
from ouroboros.plans.postgres_config import LOADER, OWNER
from ouroboros.plans.sql import statement
from ouroboros.services.databases.templates import TAKEN
from ouroboros.services.databases.workbench import Workbench, now_text

_WAIT_S = 300.0


def take_snapshot(bench: Workbench, slot: Slot, name: str, *, archive: bool) -> dict[str, Any]:
    """Keep the present state of a slot's database as snapshot `name`.

    The slot's sessions are ended and its backend connects again after `paused_ms`. Raises
    `snapshot_exists`, `disk_full`, `sessions_remain`.
    """
    source = Source(Strategy.SNAPSHOT, name)
    with (
        bench.own(f"taking snapshot {name} of {slot.id}") as connection,
        # Always in this order, as in a reset that builds: the slot's lock, then the workshop's.
        holding(connection, Lock.SLOT, slot.number, _WAIT_S),
        holding(connection, Lock.WORKSHOP, 0, _WAIT_S),
    ):
        catalog = read_catalog(connection)
        _require_new(bench, source, catalog)
        live = catalog.get(slot.database.name)
        if live is None:
            raise Refused("no_database", f"{slot.id} has no database", "reset it first")
        content = f"{TAKEN}{slot.id}:{uuid.uuid4()}"
        mark = Mark(
            template_name(source, content, bench.server(connection)),
            source,
            content,
            "",
            now_text(),
        )
        workshop = bench.workshop(connection)
        try:
            paused_ms = _copy_slot(bench, connection, workshop, slot)
            taken = _finish(bench, workshop, mark, live.mark, archive)
        finally:
            workshop.clear()
    return {**taken, "slot_id": slot.id, "name": name, "paused_ms": paused_ms}


def list_sources(bench: Workbench) -> list[dict[str, Any]]:
    """Every seed and snapshot version: its file, its template, and which slots are on it."""
    with bench.borrowed("listing seeds and snapshots") as connection:
        catalog = read_catalog(connection)
        listed: dict[tuple[str, str], dict[str, Any]] = {}
        for strategy, version, path in list_versions(bench.settings):
            entry = _entry(listed, strategy, version)
            entry |= {"file": str(path), "file_bytes": path.stat().st_size}
        for record in catalog.values():
            mark = record.mark
            if not record.usable_template or mark is None or mark.source.version is None:
                continue
            entry = _entry(listed, mark.source.strategy, mark.source.version)
            entry["templates"].append(
                {
                    "name": record.name,
                    "bytes": bytes_of(connection, record.name),
                    "fingerprint": mark.fingerprint,
                    "made_at": mark.made_at,
                    "not_deterministic": mark.further.get("not_deterministic"),
                    "advice": mark.further.get("advice", []),
                }
            )
            entry["used_by"] = sorted({*entry["used_by"], *_users(record.name, catalog)})
    return [listed[key] for key in sorted(listed)]


def delete_snapshot(bench: Workbench, name: str) -> dict[str, Any]:
    """Delete a snapshot with its archive; raises `snapshot_not_found`, `snapshot_in_use`."""
    source = Source(Strategy.SNAPSHOT, name)
    with (
        bench.own(f"deleting snapshot {name}") as connection,
        holding(connection, Lock.WORKSHOP, 0, _WAIT_S),
    ):
        catalog = read_catalog(connection)
        templates = _templates_of(source, catalog)
        path = find_file(bench.settings, source)
        if not templates and path is None:
            raise _not_found(name)
        for record in templates:
            live = [user for user in _users(record.name, catalog) if "__next" not in user]
            if live:
                raise Refused(
                    "snapshot_in_use",
                    f"{', '.join(live)} is on snapshot {name}",
                    "reset the slot to something else first",
                    {"used_by": live},
                )
        for record in templates:
            run(connection, plan.unmake_template(record.name))
            run(connection, plan.drop(record.name))
        if path is not None:
            path.unlink()
    return {"name": name, "templates": [each.name for each in templates], "file": _text(path)}


def archive_snapshot(bench: Workbench, name: str) -> dict[str, Any]:
    """Write the archive of a snapshot that has only a template; says where the file is."""
    source = Source(Strategy.SNAPSHOT, name)
    path = find_file(bench.settings, source)
    if path is None:
        with (
            bench.own(f"archiving snapshot {name}") as connection,
            holding(connection, Lock.WORKSHOP, 0, _WAIT_S),
        ):
            templates = _templates_of(source, read_catalog(connection))
            if not templates:
                raise _not_found(name)
            workshop = bench.workshop(connection)
            try:
                size = bytes_of(connection, templates[0].name)
                bench.require_room(2 * size, f"an archive of {name}")
                workshop.copy_in(templates[0].name, size)
                path = write_archive(workshop, bench.settings.snapshots_dir, name)
            finally:
                workshop.clear()
    return {"name": name, "file": str(path), "bytes": path.stat().st_size}


def _copy_slot(
    bench: Workbench, connection: Connection[Any], workshop: Workshop, slot: Slot
) -> float:
    """Copy a slot's database into the workshop; returns how long the slot was closed, in ms."""
    database = slot.database
    size = bytes_of(connection, database.name)
    bench.require_room(size, f"a snapshot of {database.name}")
    workshop.clear()
    started = perf_counter()
    try:
        close_and_empty(connection, database.name)
        failpoint("snapshot.closed")
        run(connection, plan.clone(database.name, LOADER, size))
    finally:
        if not connection.broken:
            run(connection, plan.allow_connections(database.name, True))
    paused_ms = (perf_counter() - started) * 1000
    failpoint("snapshot.copied")
    workshop.furnish()
    # What the run made as itself belongs to everybody's owner from now on.
    with workshop.inside() as inside:
        run_all(inside, statement("REASSIGN OWNED BY {} TO {}", database.role, OWNER))
    return round(paused_ms, 1)


def _finish(
    bench: Workbench, workshop: Workshop, mark: Mark, made_from: Mark | None, archive: bool
) -> dict[str, Any]:
    workshop.tidy()
    fingerprint = workshop.fingerprint()
    path = write_archive(workshop, bench.settings.snapshots_dir, _name(mark)) if archive else None
    further = {
        **fingerprint.document(),
        "made_from": made_from.template if made_from else None,
        "not_deterministic": [],
    }
    workshop.publish(replace(mark, fingerprint=fingerprint.whole, further=further))
    return {
        "template": mark.template,
        "fingerprint": fingerprint.whole,
        "file": _text(path),
        "tables": {name: table.rows for name, table in fingerprint.tables.items()},
    }


def _name(mark: Mark) -> str:
    return mark.source.version or ""


def _require_new(bench: Workbench, source: Source, catalog: dict[str, DatabaseRecord]) -> None:
    if _templates_of(source, catalog) or find_file(bench.settings, source) is not None:
        raise Refused(
            "snapshot_exists",
            f"there is a snapshot {source.version} already",
            "choose another name, or delete the old one: ouroboros db delete --name NAME",
        )


def _templates_of(source: Source, catalog: dict[str, DatabaseRecord]) -> list[DatabaseRecord]:
    return [
        record
        for record in catalog.values()
        if record.usable_template and record.mark is not None and record.mark.source == source
    ]


def _users(template: str, catalog: dict[str, DatabaseRecord]) -> list[str]:
    return [
        record.name
        for record in catalog.values()
        if record.mark is not None
        and record.mark.template == template
        and record.name != template
        and not is_retired(record.name)
    ]


def _entry(
    listed: dict[tuple[str, str], dict[str, Any]], strategy: Strategy, version: str
) -> dict[str, Any]:
    return listed.setdefault(
        (str(strategy), version),
        {
            "strategy": str(strategy),
            "version": version,
            "file": None,
            "file_bytes": None,
            "templates": [],
            "used_by": [],
        },
    )


def _not_found(name: str) -> NotFound:
    return NotFound("snapshot_not_found", f"there is no snapshot {name}", "ouroboros db list")


def _text(path: Path | None) -> str | None:
    return str(path) if path is not None else None
