"""Fingerprint, verify and diff: what a slot's database is, and how it differs from its promise.

Nothing of this costs anything while nobody asks. The slot is read in one snapshot, as its own
role. The other side is a copy of the template in the workshop, made only when something differs.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection

from ouroboros.adapters.cluster.catalog import bytes_of, read_catalog
from ouroboros.adapters.cluster.failures import translated
from ouroboros.adapters.cluster.fingerprints import (
    LARGE_OBJECTS,
    TableShape,
    read_columns,
    read_rows,
    read_schema,
    read_sequences,
    read_tables,
    reading,
    take_fingerprint,
)
from ouroboros.adapters.cluster.locks import Lock, holding
from ouroboros.domain.difference import TableDifference, compare_rows, compare_schemas
from ouroboros.domain.errors import Refused
from ouroboros.domain.reset import Source
from ouroboros.domain.slot import Slot
from ouroboros.domain.template import Fingerprint, Mark, read_fingerprint
from ouroboros.plans.fingerprints import COLUMN_ORDER
from ouroboros.services.databases.templates import ensure, want
from ouroboros.services.databases.workbench import Workbench

_WORKSHOP_WAIT_S = 300.0


def fingerprint_of_slot(bench: Workbench, slot: Slot) -> dict[str, Any]:
    """The fingerprint of a slot's database as it is now, and the one its last reset promised."""
    promise = promise_of(bench, slot)
    return {**_read_slot(bench, slot).document(), "promised": promise.fingerprint}


def fingerprint_of_source(bench: Workbench, source: Source) -> dict[str, Any]:
    """The fingerprint of a seed or snapshot; builds its template when there is none."""
    with bench.borrowed("looking for a template") as connection:
        wanted = want(bench, connection, source, read_catalog(connection))
    if wanted.record is None:
        wanted = ensure(bench, wanted)
    further = wanted.mark.further
    kept = ("fingerprint", "schema", "sequences", "tables", "not_deterministic", "advice")
    return {"template": wanted.name, **{key: further.get(key) for key in kept}}


def verify(bench: Workbench, slot: Slot) -> dict[str, Any]:
    """Whether a slot's database is what its last reset promised, and if not, where it differs.

    Names the first table that differs and the key of its first row.
    """
    promise = promise_of(bench, slot)
    actual = _read_slot(bench, slot)
    answer: dict[str, Any] = {
        "matches": actual.whole == promise.fingerprint,
        "promised": promise.fingerprint,
        "fingerprint": actual.whole,
        "template": promise.template,
        "reset_id": promise.reset_id,
    }
    if answer["matches"]:
        return answer
    found = diff(bench, slot, sample_size=1)
    return {**answer, "first_difference": _first(found)}


def diff(bench: Workbench, slot: Slot, sample_size: int = 5) -> dict[str, Any]:
    """What changed in a slot's database since its reset: schema, sequences, and rows by table."""
    started = time.perf_counter()
    promise = promise_of(bench, slot)
    actual = _read_slot(bench, slot)
    answer: dict[str, Any] = {
        "template": promise.template,
        "source": {"strategy": promise.source.strategy, "version": promise.source.version},
        "reset_id": promise.reset_id,
        "changed": actual.whole != promise.fingerprint,
        "schema": {"added": [], "changed": [], "removed": []},
        "sequences": {},
        "tables": {},
    }
    if answer["changed"]:
        with _both_sides(bench, slot, promise) as (before, after):
            answer |= _differences(before, after, _promised(bench, promise), actual, sample_size)
    answer["duration_ms"] = round((time.perf_counter() - started) * 1000, 1)
    return answer


def _differences(
    before: Connection[Any],
    after: Connection[Any],
    promised: Fingerprint,
    actual: Fingerprint,
    sample_size: int,
) -> dict[str, Any]:
    old_items, new_items = (
        {(each.kind, each.identity): each.definition for each in read_schema(side)
         if each.kind != COLUMN_ORDER}
        for side in (before, after)
    )  # fmt: skip
    old_places, new_places = read_sequences(before), read_sequences(after)
    tables = {}
    for name in sorted({*promised.tables, *actual.tables}):
        if promised.tables.get(name) != actual.tables.get(name):
            found = _compare_table(before, after, name, sample_size)
            if found:
                tables[name] = found.document()
    return {
        "schema": compare_schemas(old_items, new_items),
        "sequences": {
            name: {"was": old_places.get(name), "now": new_places.get(name)}
            for name in sorted({*old_places, *new_places})
            if old_places.get(name) != new_places.get(name)
        },
        "tables": tables,
    }


def _compare_table(
    before: Connection[Any], after: Connection[Any], name: str, sample_size: int
) -> TableDifference:
    """Compare a table by its primary key, in the columns that both sides have."""
    if name == LARGE_OBJECTS:
        return TableDifference(changed=1)
    old, new = (_shape(side, name) for side in (before, after))
    old_columns = read_columns(before, old) if old else []
    new_columns = read_columns(after, new) if new else []
    columns = [column for column in new_columns if column in old_columns] or (
        old_columns or new_columns
    )
    shape = new or old
    if shape is None or not columns:
        return TableDifference()
    same_key = old is None or new is None or old.key == new.key
    key = shape.key if same_key and set(shape.key) <= set(columns) else []
    return compare_rows(
        read_rows(before, old, key, columns) if old else (),
        read_rows(after, new, key, columns) if new else (),
        key,
        columns,
        sample_size,
    )


def _shape(connection: Connection[Any], name: str) -> TableShape | None:
    return next((each for each in read_tables(connection) if each.qualified == name), None)


@contextmanager
def _both_sides(
    bench: Workbench, slot: Slot, promise: Mark
) -> Iterator[tuple[Connection[Any], Connection[Any]]]:
    """Connections to a copy of the template and to the slot, each in one snapshot."""
    with (
        bench.own(f"comparing {slot.database.name} with {promise.template}") as connection,
        holding(connection, Lock.WORKSHOP, 0, _WORKSHOP_WAIT_S),
    ):
        size = bytes_of(connection, promise.template)
        bench.require_room(size, f"a copy of {promise.template} to compare with")
        workshop = bench.workshop(connection)
        try:
            workshop.copy_in(promise.template, size)
            with (
                reading(bench.access.loader_dsn()) as before,
                reading(bench.access.slot_url(slot).text()) as after,
            ):
                yield before, after
        finally:
            workshop.clear()


def _read_slot(bench: Workbench, slot: Slot) -> Fingerprint:
    with (
        translated(f"reading {slot.database.name}"),
        reading(bench.access.slot_url(slot).text()) as connection,
    ):
        return take_fingerprint(connection)


def promise_of(bench: Workbench, slot: Slot) -> Mark:
    """The mark of a slot's database, which its last reset left (`never_reset`)."""
    with bench.borrowed(f"looking at {slot.database.name}") as connection:
        record = read_catalog(connection).get(slot.database.name)
    if record is None or record.mark is None:
        raise Refused(
            "never_reset",
            f"{slot.database.name} was not made by a reset, so nothing was promised",
            f"scripts/preview-db-reset.sh --slot {slot.id}",
        )
    return record.mark


def _promised(bench: Workbench, promise: Mark) -> Fingerprint:
    """The fingerprint by table, which the template keeps (`template_missing`)."""
    with bench.borrowed(f"looking at {promise.template}") as connection:
        record = read_catalog(connection).get(promise.template)
    if record is None or record.mark is None:
        raise Refused(
            "template_missing",
            f"the template {promise.template} is gone, so there is nothing to compare with",
            "reset the slot's database",
        )
    return read_fingerprint(record.mark.further)


def _first(found: dict[str, Any]) -> dict[str, Any]:
    for kind, items in found["schema"].items():
        for item in items:
            return {"what": "schema", "change": kind, "kind": item["kind"], "name": item["name"]}
    for name, table in found["tables"].items():
        for kind in ("changed", "added", "removed"):
            for sample in table["samples"].get(kind, []):
                row = sample.get("key", sample)
                return {"what": "row", "change": kind, "table": name, "row": row}
    for name, places in found["sequences"].items():
        return {"what": "sequence", "name": name, **places}
    return {"what": "unknown"}
