"""Standbys: the clone that waits to become a slot's database at its next reset.

A clone in the making has a name of its own and is closed. It becomes the standby in one
transaction, with its rights and its mark, so a standby is always complete.
"""

from collections.abc import Mapping
from typing import Any

from psycopg import Connection

from ouroboros.adapters.cluster.catalog import DatabaseRecord, bytes_of
from ouroboros.adapters.cluster.sql import run, run_all
from ouroboros.domain.failpoint import failpoint
from ouroboros.domain.slot import Slot, SlotDatabase
from ouroboros.domain.template import Mark
from ouroboros.plans import databases as plan
from ouroboros.services.databases.workbench import Workbench, now_text


def is_ready(record: DatabaseRecord | None, template: str) -> bool:
    """Whether a database is a complete standby of this template, and nobody has been in it.

    Only a superuser could open one. What was opened or entered may have been changed, and is made
    again instead of being trusted.
    """
    return (
        record is not None
        and record.mark is not None
        and record.mark.template == template
        and not record.invalid
        and not record.open
        and not record.entered
    )


def find_standby(
    catalog: Mapping[str, DatabaseRecord], database: SlotDatabase, template: str
) -> str | None:
    """The name of a standby of this template that is ready; None when there is none."""
    ready = (name for name in database.standbys if is_ready(catalog.get(name), template))
    return next(ready, None)


def make_standby(
    bench: Workbench, connection: Connection[Any], slot: Slot, template: Mark, name: str
) -> None:
    """Clone a template into a slot's standby; the caller holds the slot's lock.

    `name` is one of the slot's `standbys`. Whatever stands under it is dropped first, so it may be
    repeated. Raises `disk_full` before anything is touched.
    """
    database = slot.database
    size = bytes_of(connection, template.template)
    bench.require_room(size, f"a clone of {template.template} for {slot.id}")
    run(connection, plan.drop(database.making))
    failpoint("standby.before_clone")
    run(connection, plan.clone(template.template, database.making, size))
    failpoint("standby.cloned")
    run(connection, plan.drop(name))
    with connection.transaction():
        run_all(
            connection,
            *plan.grant_to_slot(database.making, database),
            plan.comment(database.making, template.for_clone(now_text()).text()),
            plan.rename(database.making, name),
        )
    failpoint("standby.renamed")
