"""Checkpoints: the state of a slot's database that belongs to the release before.

A publish with pending migrations keeps the database as it was, under a name of its own, and
migrates the one behind the slot's name. When the publish fails, the two are exchanged again and
nothing has happened; when it is rolled back later on request, likewise. A database's mark says
which migrations it has seen (a digest), so code and schema are matched by what they are.
"""

from collections.abc import Mapping
from dataclasses import replace
from time import perf_counter
from typing import Any

from psycopg import Connection

from ouroboros.adapters.cluster.catalog import (
    DatabaseRecord,
    bytes_of,
    read_catalog,
    read_mark_of,
)
from ouroboros.adapters.cluster.exchange import Exchange, exchange
from ouroboros.adapters.cluster.locks import Lock, holding
from ouroboros.adapters.cluster.prepared import roll_back_prepared
from ouroboros.adapters.cluster.sql import run
from ouroboros.adapters.cluster.swap import close_and_empty, require_fence
from ouroboros.domain.errors import Refused
from ouroboros.domain.failpoint import failpoint
from ouroboros.domain.slot import Slot, checkpoint_number
from ouroboros.domain.template import Mark
from ouroboros.plans import databases as plan
from ouroboros.plans.sql import statement
from ouroboros.services.databases.workbench import Workbench

_WAIT_S = 300.0
_EXCHANGED_FOR = "exchanged_for"
_RESET = "reset"
_LEASES = "SELECT slot_num, fence FROM slots WHERE lease_state = 'leased'"
_UNFINISHED = (
    "SELECT s.slot_num, p.seq FROM publishes p JOIN slots s USING (slot_id)"
    " WHERE p.state IN ('queued', 'running')"
)


def migrations_of(bench: Workbench, slot: Slot) -> str | None:
    """The digest of the migrations that a slot's database has seen; None when it is not known."""
    with bench.borrowed(f"looking at {slot.database.name}") as connection:
        mark = read_mark_of(connection, slot.database.name)
    return mark.migrations if mark else None


def note_migrations(bench: Workbench, slot: Slot, fence: int | None, digest: str) -> None:
    """Write on a slot's database which migrations it has seen; raises `stale_fence`."""
    with (
        bench.borrowed(f"marking {slot.database.name}") as connection,
        holding(connection, Lock.SLOT, slot.number, _WAIT_S),
        connection.transaction(),
    ):
        require_fence(connection, slot, fence)
        mark = read_mark_of(connection, slot.database.name)
        if mark is not None:
            text = replace(mark, migrations=digest).text()
            run(connection, plan.comment(slot.database.name, text))


def take_checkpoint(bench: Workbench, slot: Slot, fence: int, number: int) -> dict[str, Any]:
    """Keep a slot's database as it is now, as the checkpoint of publish `number`.

    Its sessions are ended. When this publish has taken one already (its worker died), the
    database is first put back to it, so that migrations begin from the same state again. Raises
    `stale_fence`, `disk_full`, `sessions_remain`.
    """
    with (
        bench.own(f"keeping the state of {slot.database.name}") as connection,
        holding(connection, Lock.SLOT, slot.number, _WAIT_S),
    ):
        _put_back(bench, connection, slot, fence, number)
        started = perf_counter()
        size = _copy(bench, connection, slot, fence, number)
        failpoint("checkpoint.taken")
    return {
        "checkpoint": slot.database.checkpoint(number),
        "checkpoint_bytes": size,
        "checkpoint_ms": round((perf_counter() - started) * 1000, 1),
    }


def has_checkpoint(bench: Workbench, slot: Slot, number: int) -> bool:
    """Whether publish `number` has kept the state that it found."""
    with bench.borrowed(f"looking for the checkpoint of publish {number}") as connection:
        return read_mark_of(connection, slot.database.checkpoint(number)) is not None


def is_being_changed(bench: Workbench, slot: Slot) -> bool:
    """Whether a publish that has not ended has changed a slot's database under its visitors."""
    with bench.borrowed(f"looking for checkpoints of {slot.id}") as connection:
        unfinished = {tuple(row) for row in run(connection, statement(_UNFINISHED))}
        catalog = read_catalog(connection)
    return any(
        record.mark is not None and checkpoint_number(name) in unfinished
        for name, record in catalog.items()
        if (checkpoint_number(name) or (0, 0))[0] == slot.number
    )


def put_back(bench: Workbench, slot: Slot, fence: int, number: int) -> bool:
    """Give a slot its database as it was at a checkpoint; the present one is dropped later.

    False when there is no such checkpoint (any more), so it may be repeated. Raises
    `stale_fence`, `sessions_remain`.
    """
    with (
        bench.own(f"putting {slot.database.name} back") as connection,
        holding(connection, Lock.SLOT, slot.number, _WAIT_S),
    ):
        return _put_back(bench, connection, slot, fence, number)


def exchange_states(
    bench: Workbench, slot: Slot, fence: int, number: int, migrations: str
) -> dict[str, Any]:
    """Give a slot the kept database that has seen these migrations; keep the present one.

    The present one becomes checkpoint `number`, so nothing is lost by going back and forth. May
    be repeated. Raises `no_checkpoint`, `stale_fence`, `sessions_remain`.
    """
    database = slot.database
    with (
        bench.own(f"exchanging the state of {database.name}") as connection,
        holding(connection, Lock.SLOT, slot.number, _WAIT_S),
    ):
        live = read_mark_of(connection, database.name)
        if live is None or live.migrations == migrations:
            return {"exchanged": False}
        taken, kept = _checkpoint_with(connection, slot, fence, migrations)
        name = database.checkpoint(number)
        renames = [(database.name, name), (database.checkpoint(taken), database.name)]
        further = {_EXCHANGED_FOR: taken, _RESET: kept.reset_id}
        before = replace(live, fence=fence, further=further)
        exchange(
            connection,
            bench.access,
            Exchange(slot, fence, renames, {name: before, database.name: _served(kept)}),
        )
    return {"exchanged": True, "checkpoint": name}


def undo_exchange(bench: Workbench, slot: Slot, fence: int, number: int) -> bool:
    """Take `exchange_states` back; False when there is nothing to take back.

    Raises `stale_fence`, `sessions_remain`.
    """
    database = slot.database
    with (
        bench.own(f"exchanging the state of {database.name} back") as connection,
        holding(connection, Lock.SLOT, slot.number, _WAIT_S),
    ):
        live = read_mark_of(connection, database.name)
        before = read_mark_of(connection, database.checkpoint(number))
        if live is None or before is None or _EXCHANGED_FOR not in before.further:
            return False
        if live.reset_id != before.further[_RESET]:
            return False  # it was reset since, and that stands
        taken = database.checkpoint(int(before.further[_EXCHANGED_FOR]))
        renames = [(database.name, taken), (database.checkpoint(number), database.name)]
        marks = {taken: replace(live, fence=fence), database.name: _served(before)}
        exchange(connection, bench.access, Exchange(slot, fence, renames, marks))
    return True


def spent_checkpoints(
    connection: Connection[Any], catalog: Mapping[str, DatabaseRecord], keep: int
) -> list[str]:
    """Checkpoints that can serve no rollback: of ended leases, of no release, or too many.

    Of each slot the newest `keep` stay, and always that of a publish that is running.
    """
    leases = dict(run(connection, statement(_LEASES)))
    running = {tuple(row) for row in run(connection, statement(_UNFINISHED))}
    found = sorted(
        (at, name, record.mark)
        for name, record in catalog.items()
        if (at := checkpoint_number(name)) is not None and at not in running
    )
    kept: dict[int, int] = {}
    spent = []
    for (slot_number, _), name, mark in reversed(found):
        used = mark is not None and mark.migrations and mark.fence == leases.get(slot_number)
        if used and kept.get(slot_number, 0) < keep:
            kept[slot_number] = kept.get(slot_number, 0) + 1
        else:
            spent.append(name)
    return spent


def _copy(
    bench: Workbench, connection: Connection[Any], slot: Slot, fence: int, number: int
) -> int:
    database = slot.database
    name = database.checkpoint(number)
    run(connection, plan.drop(name))
    size = bytes_of(connection, database.name)
    bench.require_room(size, f"a checkpoint of {database.name}")
    require_fence(connection, slot, fence)
    mark = read_mark_of(connection, database.name)
    try:
        close_and_empty(connection, database.name)
        failpoint("checkpoint.closed")
        roll_back_prepared(connection, bench.access, database.name, database.role)
        run(connection, plan.clone(database.name, name, size))
    finally:
        if not connection.broken:
            run(connection, plan.allow_connections(database.name, True))
    failpoint("checkpoint.copied")
    if mark is None:
        raise Refused("no_database", f"{slot.id} has no database of ours", "reset it first")
    # Without its mark a copy is not a checkpoint; it gets it when it is complete.
    run(connection, plan.comment(name, replace(mark, fence=fence).text()))
    return size


def _put_back(
    bench: Workbench, connection: Connection[Any], slot: Slot, fence: int, number: int
) -> bool:
    database = slot.database
    name = database.checkpoint(number)
    record = read_catalog(connection).get(name)
    if record is None or record.mark is None or record.invalid:
        return False
    live = read_mark_of(connection, database.name)
    if live is not None and live.reset_id != record.mark.reset_id:
        run(connection, plan.drop(name))
        return False  # it was reset since, and that stands
    renames = [(database.name, database.displaced(number)), (name, database.name)]
    run(connection, plan.drop(database.displaced(number)))
    exchange(
        connection,
        bench.access,
        Exchange(slot, fence, renames, {database.name: _served(record.mark)}),
    )
    return True


def _checkpoint_with(
    connection: Connection[Any], slot: Slot, fence: int, migrations: str
) -> tuple[int, Mark]:
    """The newest checkpoint of this lease that has seen these migrations, with its number."""
    found = [
        (at[1], record.mark)
        for record in read_catalog(connection).values()
        if (at := checkpoint_number(record.name)) is not None
        and at[0] == slot.number
        and record.mark is not None
        and record.mark.fence == fence
        and record.mark.migrations == migrations
        and not record.invalid
    ]
    if not found:
        raise Refused(
            "no_checkpoint",
            f"no state of {slot.database.name} is kept that fits the migrations of that release",
            "roll back without the database, or reset it and publish again",
            {"slot_id": slot.id},
        )
    return max(found, key=lambda pair: pair[0])


def _served(mark: Mark) -> Mark:
    """The mark of a checkpoint that is a slot's database again."""
    return replace(mark, fence=None, further={})
