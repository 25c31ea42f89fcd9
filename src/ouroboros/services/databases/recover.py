"""Recovery: every state that a crash can leave is settled, at start and by the worker.

Each slot is settled under its lock, so what is found there belongs to nobody any more:
a clone that was not completed, an interrupted drop, a row that says `running`, a database that
was closed for a swap which never happened, or no database at all.
"""

from typing import Any

from psycopg import Connection

from ouroboros.adapters.cluster import ledger
from ouroboros.adapters.cluster.catalog import DatabaseRecord, read_catalog
from ouroboros.adapters.cluster.failures import translated
from ouroboros.adapters.cluster.locks import Lock, holding_if_free
from ouroboros.adapters.cluster.prepare import prepare_roles
from ouroboros.adapters.cluster.sql import run, run_all
from ouroboros.adapters.cluster.workshop import leftovers
from ouroboros.domain.errors import Failed
from ouroboros.domain.reset import EMPTY
from ouroboros.domain.slot import Slot
from ouroboros.plans import databases as plan
from ouroboros.plans.rehearsal import REHEARSAL
from ouroboros.services.databases.rehearse import strike
from ouroboros.services.databases.reset import reset
from ouroboros.services.databases.workbench import Workbench


def recover(bench: Workbench) -> list[str]:
    """Settle what crashes left; returns what was done, in words. May be repeated.

    What somebody is working on at this moment is left alone.
    """
    done: list[str] = []
    if not bench.settings.local:
        # Our own cluster is prepared when it starts; an external one by whoever comes first.
        with translated("preparing the roles"):
            prepare_roles(bench.access, bench.settings.pool)
    with bench.own("recovering the slots' databases") as connection:
        with holding_if_free(connection, Lock.WORKSHOP, 0) as held:
            if held:
                for name in leftovers(connection):
                    run(connection, plan.drop(name))
                    done.append(f"dropped {name}, an unfinished build")
        with holding_if_free(connection, Lock.REHEARSAL, 0) as held:
            if held and REHEARSAL in read_catalog(connection):
                strike(bench, connection)
                done.append("dropped the clone of an interrupted rehearsal")
        for slot in bench.settings.pool:
            with holding_if_free(connection, Lock.SLOT, slot.number) as held:
                if held:
                    done += settle_slot(connection, slot)
        missing = [
            slot
            for slot in bench.settings.pool
            if slot.database.name not in read_catalog(connection)
        ]
    for slot in missing:
        report = reset(bench, slot, EMPTY, run_id=None, fence=None)
        done.append(f"made {report.db_name}, empty, because {slot.id} had no database")
    return done


def settle_slot(connection: Connection[Any], slot: Slot) -> list[str]:
    """Settle one slot; the caller holds its lock."""
    catalog = read_catalog(connection)
    done = _drop_unfinished(connection, slot, catalog)
    live = catalog.get(slot.database.name)
    if live is not None and not live.open and not live.invalid:
        # The swap did not commit, so this is the old database, whole; its reset is failed below.
        run_all(
            connection,
            *plan.grant_to_slot(live.name, slot.database),
            plan.allow_connections(live.name, True),
        )
        done.append(f"opened {live.name}, which an interrupted reset had closed")
    for row in ledger.running(connection, slot):
        with holding_if_free(connection, Lock.ATTEMPT, row.id) as abandoned:
            if abandoned:
                done.append(_settle_row(connection, slot, row, live))
    return done


def _settle_row(
    connection: Connection[Any], slot: Slot, row: ledger.ResetRow, live: DatabaseRecord | None
) -> str:
    """Settle the row of a reset whose process is gone."""
    if live is not None and live.mark is not None and live.mark.reset_id == row.id:
        ledger.complete(connection, row.id, {"fingerprint": live.mark.fingerprint})
        return f"settled reset {row.id} of {slot.id}: it was completed"
    interrupted = Failed(
        "reset_interrupted",
        f"the process that reset {slot.database.name} ended before the swap",
        "reset again; the database is in the state it had before",
    )
    ledger.fail(connection, row.id, interrupted)
    return f"settled reset {row.id} of {slot.id}: it was interrupted"


def is_unsettled(
    connection: Connection[Any], slot: Slot, catalog: dict[str, DatabaseRecord]
) -> bool:
    """Whether a slot looks as after a crash, or as in the middle of a reset."""
    live = catalog.get(slot.database.name)
    return (
        live is None
        or live.invalid
        or not live.open
        or slot.database.making in catalog
        or bool(ledger.running(connection, slot))
    )


def _drop_unfinished(
    connection: Connection[Any], slot: Slot, catalog: dict[str, DatabaseRecord]
) -> list[str]:
    """Drop clones that never became standbys, and what an interrupted drop left invalid."""
    done = []
    for record in list(catalog.values()):
        standbys = slot.database.standbys
        ours = record.name in {slot.database.making, slot.database.name, *standbys}
        unfinished = record.name == slot.database.making
        unmarked = record.name in standbys and record.mark is None
        if ours and (unfinished or unmarked or record.invalid):
            run(connection, plan.drop(record.name))
            del catalog[record.name]
            done.append(f"dropped {record.name}, which was not complete")
    return done
