"""The dry run of a reset: everything that can be known without changing anything."""

from typing import Any

from ouroboros.adapters.cluster.catalog import read_catalog
from ouroboros.domain.reset import Source
from ouroboros.services.databases.standbys import find_standby
from ouroboros.services.databases.templates import want
from ouroboros.services.databases.workbench import Workbench


def check(bench: Workbench, source: Source) -> dict[str, Any]:
    """Whether a source exists, what it is, and whether a template of it would be built first.

    Raises `seed_not_found`, `snapshot_not_found`, `seed_changed`, `snapshot_changed`.
    """
    with bench.borrowed("checking a source") as connection:
        catalog = read_catalog(connection)
        wanted = want(bench, connection, source, catalog)
    standbys = [
        slot.id for slot in bench.settings.pool if find_standby(catalog, slot.database, wanted.name)
    ]
    return {
        "exists": True,
        "strategy": str(source.strategy),
        "version": source.version,
        "file": str(wanted.file.path) if wanted.file else None,
        "sha256": wanted.content,
        "bytes": wanted.file.bytes if wanted.file else 0,
        "template": wanted.name,
        "would_build": wanted.record is None,
        "fingerprint": wanted.mark.fingerprint if wanted.record else None,
        "standby_ready_for": standbys,
    }
