"""The pool as it stands: slots with their standbys, templates, what is being made, what failed."""

from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from ouroboros.adapters.cluster import ledger
from ouroboros.adapters.cluster.catalog import DatabaseRecord, bytes_of, read_catalog
from ouroboros.adapters.cluster.sql import run
from ouroboros.domain.slot import Slot, is_retired
from ouroboros.domain.template import TEMPLATE_PREFIX, Mark
from ouroboros.plans import databases as plan
from ouroboros.plans.postgres_config import LOADER
from ouroboros.services.databases.standbys import find_standby
from ouroboros.services.databases.workbench import Workbench


def show_pool(bench: Workbench) -> dict[str, Any]:
    """Slots, standbys, templates with sizes and ages, what is being made, recent failures."""
    with bench.borrowed("looking at the pool") as connection:
        catalog = read_catalog(connection)
        return {
            "pool_depth": bench.settings.pool_depth,
            "pool_order": str(bench.settings.pool_order),
            "slots": [_slot(connection, slot, catalog) for slot in bench.settings.pool],
            "templates": [
                _template(connection, record, record.mark)
                for record in catalog.values()
                if record.name.startswith(TEMPLATE_PREFIX) and record.mark is not None
            ],
            "being_made": sorted(
                name for name in catalog if name.startswith(LOADER) or name.endswith("__mk")
            ),
            "at_work": [
                {"work": work, "running_s": running_s}
                for work, running_s in run(connection, plan.work_in_progress())
            ],
            "to_be_dropped": sorted(name for name in catalog if is_retired(name)),
            "failures": ledger.recent_failures(connection),
        }


def _slot(
    connection: Connection[Any], slot: Slot, catalog: dict[str, DatabaseRecord]
) -> dict[str, Any]:
    live = catalog.get(slot.database.name)
    mark = live.mark if live else None
    ready = find_standby(catalog, slot.database, mark.template) if mark else None
    name = ready or slot.database.standby
    standby = catalog.get(name)
    return {
        "slot_id": slot.id,
        "db_name": slot.database.name,
        "state": "missing" if live is None else "open" if live.open else "closed",
        "bytes": bytes_of(connection, slot.database.name),
        "source": _source(mark),
        "template": mark.template if mark else None,
        "fingerprint": mark.fingerprint if mark else None,
        "reset_id": mark.reset_id if mark else None,
        "standby": {
            "ready_for_same": ready is not None,
            "names": [each for each in slot.database.standbys if each in catalog],
            "source": _source(standby.mark if standby else None),
            "bytes": bytes_of(connection, name),
            "age_s": _age_s(standby.mark) if standby and standby.mark else None,
        },
    }


def _template(connection: Connection[Any], record: DatabaseRecord, mark: Mark) -> dict[str, Any]:
    return {
        "name": record.name,
        "source": _source(mark),
        "bytes": bytes_of(connection, record.name),
        "age_s": _age_s(mark),
        "fingerprint": mark.fingerprint,
        "built_ms": mark.further.get("built_ms"),
        "advice": mark.further.get("advice", []),
        "not_deterministic": mark.further.get("not_deterministic"),
    }


def _source(mark: Mark | None) -> dict[str, Any] | None:
    if mark is None:
        return None
    return {"strategy": str(mark.source.strategy), "version": mark.source.version}


def _age_s(mark: Mark) -> int:
    return int((datetime.now(UTC) - datetime.fromisoformat(mark.made_at)).total_seconds())
