"""The background work of the worker, one unit at a time: drop, make a standby, check, collect.

It is ordered by what hurts first: replaced databases hold disk, a missing standby makes the next
reset slow, an unchecked seed may not be deterministic, and an old template only holds disk.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from psycopg import Connection

from ouroboros.adapters.cluster import ledger
from ouroboros.adapters.cluster.catalog import DatabaseRecord, read_catalog
from ouroboros.adapters.cluster.locks import Lock, holding_if_free
from ouroboros.adapters.cluster.sql import run
from ouroboros.domain.errors import PreviewError
from ouroboros.domain.failpoint import failpoint
from ouroboros.domain.reset import EMPTY, PoolOrder
from ouroboros.domain.slot import Slot, is_retired
from ouroboros.domain.template import TEMPLATE_PREFIX, Mark
from ouroboros.plans import databases as plan
from ouroboros.plans.sql import statement
from ouroboros.services.databases.checkpoints import spent_checkpoints
from ouroboros.services.databases.recover import is_unsettled, settle_slot
from ouroboros.services.databases.reset import reset
from ouroboros.services.databases.standbys import is_ready, make_standby
from ouroboros.services.databases.templates import TAKEN, check_again
from ouroboros.services.databases.workbench import Workbench

_RETRY_AFTER_S = 15.0
TEMPLATE_GRACE = timedelta(hours=24)
"""How long a template that nothing uses is kept after its last reset."""


@dataclass(slots=True)
class Backlog:
    """What failed lately and is left alone for a while; kept by the process of the worker."""

    failed: dict[str, tuple[float, PreviewError]] = field(default_factory=dict)

    def resting(self, name: str) -> bool:
        """Whether a piece of work failed so recently that it must not be tried again yet."""
        failure = self.failed.get(name)
        return failure is not None and time.monotonic() - failure[0] < _RETRY_AFTER_S


def maintain(bench: Workbench, backlog: Backlog) -> bool:
    """Do one unit of background work; True when there was one.

    A failure (a full disk, say) is recorded as an event, raised once with its place, and rests
    for 15 s, while other work goes on and every slot keeps working.
    """
    with bench.borrowed("looking for background work") as connection:
        units = list(_units(bench, connection, read_catalog(connection)))
    return any(_do(bench, backlog, unit) for unit in units if not backlog.resting(unit.name))


def _do(bench: Workbench, backlog: Backlog, unit: "_Unit") -> bool:
    try:
        with bench.own(unit.name) as own:
            done = unit.work(own)
    except PreviewError as error:
        backlog.failed[unit.name] = (time.monotonic(), error)
        _tell(bench, unit, error)
        raise
    backlog.failed.pop(unit.name, None)
    return done


@dataclass(frozen=True, slots=True)
class _Unit:
    """One piece of work: its name says what is done to what.

    `work` is False when there was nothing to do after all, or somebody else is at it.
    """

    name: str
    work: Callable[[Connection[Any]], bool]


def _units(
    bench: Workbench, connection: Connection[Any], catalog: dict[str, DatabaseRecord]
) -> Iterator[_Unit]:
    for slot in bench.settings.pool:
        if is_unsettled(connection, slot, catalog):
            yield _Unit(f"settling {slot.id}", partial(_settle, bench=bench, slot=slot))
    garbage = [record.name for record in catalog.values() if _is_garbage(record)]
    for name in garbage + spent_checkpoints(connection, catalog, bench.settings.keep_releases):
        yield _Unit(f"dropping {name}", partial(_drop, name=name))
    for slot, template, name in _standbys_wanted(bench, connection, catalog):
        work = partial(_make_standby, bench=bench, slot=slot, template=template, name=name)
        yield _Unit(f"making {name} from {template}", work)
    for slot in bench.settings.pool:
        for name in slot.database.standbys[max(bench.settings.pool_depth, 1) :]:
            if name in catalog:
                work = partial(_drop_surplus, slot=slot, name=name)
                yield _Unit(f"dropping {name}", work)
    for record in catalog.values():
        if record.usable_template and record.mark and _unchecked(record.mark):
            yield _Unit(f"checking {record.name}", partial(_check, bench=bench, record=record))
    for name in _templates_out_of_use(connection, catalog):
        yield _Unit(f"collecting {name}", partial(_collect, name=name))


def _is_garbage(record: DatabaseRecord) -> bool:
    """A replaced database, or a template that lost what makes it one."""
    if record.name.startswith(TEMPLATE_PREFIX):
        return record.invalid or not record.is_template
    return is_retired(record.name)


def _settle(connection: Connection[Any], bench: Workbench, slot: Slot) -> bool:
    """Settle what a process that died left, unless the slot is being worked on right now."""
    with holding_if_free(connection, Lock.SLOT, slot.number) as held:
        done = settle_slot(connection, slot) if held else []
        missing = held and slot.database.name not in read_catalog(connection)
    if missing:
        reset(bench, slot, EMPTY, run_id=None, fence=None)
    return bool(done) or missing


def _drop(connection: Connection[Any], name: str) -> bool:
    # A frozen session of another database can hold up a drop; then it is tried again later.
    run(connection, statement("SET statement_timeout = '30s'"))
    run(connection, plan.drop(name))
    return True


def _standbys_wanted(
    bench: Workbench, connection: Connection[Any], catalog: dict[str, DatabaseRecord]
) -> list[tuple[Slot, str, str]]:
    """Which slots lack a standby of the state they will most likely be reset to: template, name.

    That is the state of their last reset; for a slot that had none, that of the last reset of
    any slot. Every slot gets its first standby before any gets its second.
    """
    latest = ledger.latest_completed(connection)
    fallback = str(latest.details.get("template", "")) if latest else ""
    wanted = []
    for slot in bench.settings.pool:
        live = catalog.get(slot.database.name)
        mark = live.mark if live else None
        template = mark.template if mark and mark.source.version is not None else fallback
        known = catalog.get(template)
        if known is None or not known.usable_template:
            continue
        for place, name in enumerate(slot.database.standbys[: bench.settings.pool_depth]):
            if not is_ready(catalog.get(name), template):
                wanted.append((place, slot, template, name))
    first = _who_comes_first(bench, connection)
    wanted.sort(key=lambda each: (each[0], first(each[1]), each[1].number))
    return [(slot, template, name) for _, slot, template, name in wanted]


def _who_comes_first(bench: Workbench, connection: Connection[Any]) -> Callable[[Slot], bool]:
    """A key by which slots are sorted in the order that is set; the number settles the rest."""
    order = bench.settings.pool_order
    leased = _leased(connection) if order is not PoolOrder.NUMBER else set()
    return lambda slot: (slot.id in leased) is (order is PoolOrder.FREE_FIRST)


def _leased(connection: Connection[Any]) -> set[str]:
    rows = run(connection, statement("SELECT slot_id FROM slots WHERE lease_state = 'leased'"))
    return {row[0] for row in rows}


def _make_standby(
    connection: Connection[Any], bench: Workbench, slot: Slot, template: str, name: str
) -> bool:
    with holding_if_free(connection, Lock.SLOT, slot.number) as held:
        if not held:
            return False
        catalog = read_catalog(connection)
        known = catalog.get(template)
        if known is None or known.mark is None:
            return False
        if is_ready(catalog.get(name), template):
            return False
        make_standby(bench, connection, slot, known.mark, name)
        return True


def _drop_surplus(connection: Connection[Any], slot: Slot, name: str) -> bool:
    """Drop a standby beyond the depth that is set now, unless a reset is about to use it."""
    with holding_if_free(connection, Lock.SLOT, slot.number) as held:
        return held and _drop(connection, name)


def _unchecked(mark: Mark) -> bool:
    return bool(mark.further) and mark.further.get("not_deterministic") is None


def _check(connection: Connection[Any], bench: Workbench, record: DatabaseRecord) -> bool:
    """Build a seed a second time and write on its template what differs."""
    if record.mark is None:
        return False
    differing = check_again(bench, record)
    further = {**record.mark.further, "not_deterministic": differing or []}
    run(connection, plan.comment(record.name, replace(record.mark, further=further).text()))
    return True


def _templates_out_of_use(
    connection: Connection[Any], catalog: dict[str, DatabaseRecord]
) -> list[str]:
    used = {
        record.mark.template
        for record in catalog.values()
        if record.mark is not None and not record.usable_template
    }
    recent = ledger.templates_used_since(connection, datetime.now(UTC) - TEMPLATE_GRACE)
    return [
        record.name
        for record in catalog.values()
        if record.usable_template
        and record.mark is not None
        and not record.mark.content.startswith(TAKEN)
        and record.name not in used | recent
        and datetime.fromisoformat(record.mark.made_at) < datetime.now(UTC) - TEMPLATE_GRACE
    ]


def _collect(connection: Connection[Any], name: str) -> bool:
    """Drop a template; one that a reset is about to use is found in use under the lock."""
    with holding_if_free(connection, Lock.WORKSHOP, 0) as held:
        if not held or name not in _templates_out_of_use(connection, read_catalog(connection)):
            return False
        run(connection, plan.unmake_template(name))
        failpoint("collect.unmade")
        return _drop(connection, name)


def _tell(bench: Workbench, unit: _Unit, error: PreviewError) -> None:
    """Leave an event, which `db pool` shows, unless PostgreSQL itself is down."""
    with suppress(PreviewError), bench.borrowed("recording a failure", wait_s=1.0) as connection:
        ledger.record_failure(connection, unit.name, error)
