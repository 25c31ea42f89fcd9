"""What the doctor says of the slots' databases: the state of each, and what nobody cleaned up.

How well the cluster keeps slots apart is looked at in `cluster.py`.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from psycopg import Connection

from ouroboros.adapters.cluster import ledger
from ouroboros.adapters.cluster.access import ClusterAccess
from ouroboros.adapters.cluster.catalog import DatabaseRecord, read_catalog
from ouroboros.adapters.cluster.embedded import plan_server
from ouroboros.adapters.cluster.failures import translated
from ouroboros.adapters.cluster.locks import Lock
from ouroboros.adapters.cluster.sql import run
from ouroboros.adapters.control.connection import ControlPool
from ouroboros.domain.finding import Finding, Severity
from ouroboros.domain.slot import Slot
from ouroboros.plans import examination as ask
from ouroboros.plans.postgres_config import LOADER
from ouroboros.plans.rehearsal import REHEARSAL
from ouroboros.services.databases.standbys import find_standby
from ouroboros.services.doctor.cluster import examine_cluster
from ouroboros.settings import Settings

_FIRST_NORMAL_OID = 16384
_SETTLED_AFTER_S = 300.0


def examine_databases(
    control: ControlPool, access: ClusterAccess, settings: Settings
) -> Callable[[], Iterable[Finding]]:
    """The examination of the cluster and of what is in it; it changes nothing."""

    def examine() -> list[Finding]:
        with translated("examining the databases"), control.connection() as connection:
            return [
                *examine_cluster(connection, access, settings),
                *_examine_state(connection, settings),
            ]

    return examine


def _examine_state(connection: Connection[Any], settings: Settings) -> Iterator[Finding]:
    catalog = read_catalog(connection)
    held = {tuple(row) for row in run(connection, ask.advisory_locks_held())}
    for slot in settings.pool:
        if (Lock.SLOT, slot.number) not in held:
            yield from _of_slot(connection, slot, catalog, settings)
    yield from _leftovers(connection, catalog, held, settings)
    yield from _seeds(catalog)
    for failure in ledger.recent_failures(connection):
        yield Finding(
            "background_work_failing",
            Severity.WARNING,
            f"{failure['work']}: {failure['message']} ({failure['error']}, {failure['at']})",
            failure["hint"] or "ouroboros db pool",
        )
    if settings.local:
        yield from _orphans(connection, settings)


def _of_slot(
    connection: Connection[Any],
    slot: Slot,
    catalog: dict[str, DatabaseRecord],
    settings: Settings,
) -> Iterator[Finding]:
    """The state of a slot that nobody is working on."""
    name, live = slot.database.name, catalog.get(slot.database.name)
    worker = "the worker settles it by itself; ouroboros status shows whether it runs"
    if live is None or not live.open:
        what = "does not exist" if live is None else "is closed"
        yield Finding(
            "slot_without_database", Severity.ERROR, f"{name} of {slot.id} {what}", worker
        )
    for row in ledger.running(connection, slot):
        yield Finding(
            "reset_not_settled",
            Severity.WARNING,
            f"reset {row.id} of {slot.id} says running, and nobody works on it",
            worker,
        )
    if slot.database.making in catalog:
        yield Finding(
            "clone_left_over", Severity.WARNING, f"{slot.database.making} was not completed", worker
        )
    mark = live.mark if live else None
    ready = mark is not None and bool(find_standby(catalog, slot.database, mark.template))
    if settings.pool_depth > 0 and mark is not None and mark.source.version and not ready:
        yield Finding(
            "standby_missing",
            Severity.NOTE,
            f"no standby of {mark.source.strategy} {mark.source.version} is ready for {slot.id}:"
            " its next reset makes one first",
            "ouroboros db pool shows what is being made",
        )


def _leftovers(
    connection: Connection[Any],
    catalog: dict[str, DatabaseRecord],
    held: set[tuple[Any, ...]],
    settings: Settings,
) -> Iterator[Finding]:
    for name, lock in ((LOADER, Lock.WORKSHOP), (REHEARSAL, Lock.REHEARSAL)):
        if name in catalog and (lock, 0) not in held:
            yield Finding(
                "clone_left_over",
                Severity.WARNING,
                f"{name} is there, and nobody works in it",
                "it is dropped when the worker starts, or by the next build",
            )
    for gid, database, age_s in run(connection, ask.prepared_transactions()):
        yield Finding(
            "prepared_transaction",
            Severity.WARNING,
            f"{database} holds the prepared transaction {gid!r} for {age_s} s; it keeps its locks"
            " and holds back vacuum",
            f"reset the slot, which rolls it back, or ROLLBACK PREPARED in {database}",
        )
    for slot_name, database in run(connection, ask.replication_slots()):
        yield Finding(
            "replication_slot",
            Severity.WARNING,
            f"the replication slot {slot_name} on {database} keeps WAL and stops its drop",
            f"SELECT pg_drop_replication_slot('{slot_name}')",
        )
    configured = {slot.database.name for slot in settings.pool}
    strangers = sorted({name.partition("__")[0] for name in catalog if name.startswith("app_")})
    for name in strangers:
        if name not in configured:
            yield Finding(
                "slot_not_configured",
                Severity.NOTE,
                f"{name} belongs to no slot of SLOT_IDS_CSV",
                f"if it is not wanted: DROP DATABASE {name}; DROP ROLE {name}",
            )


def _seeds(catalog: dict[str, DatabaseRecord]) -> Iterator[Finding]:
    for record in catalog.values():
        columns = record.mark.further.get("not_deterministic") if record.mark else None
        if record.usable_template and record.mark and columns:
            source = record.mark.source
            yield Finding(
                "seed_not_deterministic",
                Severity.WARNING,
                f"{source.strategy} {source.version} does not give the same state twice:"
                f" {', '.join(columns)}",
                "write literal values instead of now(), random(), gen_random_uuid() or"
                " CURRENT_DATE",
            )


def _orphans(connection: Connection[Any], settings: Settings) -> Iterator[Finding]:
    """Directories below `base/` of no database, which a crash in CREATE DATABASE left."""
    base = plan_server(settings).data_dir / "base"
    known = {str(row[0]) for row in run(connection, ask.oids())}
    try:
        found = [
            path
            for path in base.iterdir()
            if path.name.isdigit()
            and int(path.name) >= _FIRST_NORMAL_OID
            and path.name not in known
            and time.time() - path.stat().st_mtime > _SETTLED_AFTER_S
        ]
        sizes = {path: sum(each.stat().st_size for each in path.iterdir()) for path in found}
    except OSError:
        return  # the data directory belongs to PostgreSQL's own user, or just changed
    for path, size in sorted(sizes.items()):
        yield Finding(
            "files_left_over",
            Severity.WARNING,
            f"{path} ({size >> 20} MB) belongs to no database; PostgreSQL never removes it",
            f"ouroboros down, remove {path}, ouroboros up",
        )
