"""Templates: finding the one a source stands for, and building it when there is none.

A version means one state. A seed file that changed under its version is refused, unless the
caller says that the version shall mean the new contents from now on.
"""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from ouroboros.adapters.cluster import ledger
from ouroboros.adapters.cluster.catalog import DatabaseRecord, read_catalog
from ouroboros.adapters.cluster.locks import Lock, holding
from ouroboros.adapters.cluster.seed_files import SeedFile, count_inserts, find_file, missing
from ouroboros.adapters.cluster.sql import run
from ouroboros.adapters.cluster.workshop import Workshop
from ouroboros.domain.errors import Failed, Refused
from ouroboros.domain.reset import Source, Strategy
from ouroboros.domain.seed_advice import advise, date_differs_in
from ouroboros.domain.template import Fingerprint, Mark, digest_of, template_name
from ouroboros.plans import databases as plan
from ouroboros.services.databases.workbench import Workbench, now_text

_WORKSHOP_WAIT_S = 900.0
# A second build that proves a seed the same twice is done at once if the first was this quick,
# and later, in the background, if not.
_CHECK_AT_ONCE_S = 2.0
_NOTHING = digest_of("")
TAKEN = "taken:"
"""How the content of a snapshot that was taken of a slot begins; it was made from no file."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The template that a source stands for now, whether it exists or not."""

    source: Source
    name: str
    content: str
    file: SeedFile | None
    record: DatabaseRecord | None

    @property
    def mark(self) -> Mark:
        """The mark of the template; only for one that exists."""
        if self.record is None or self.record.mark is None:
            raise Failed("template_missing", f"{self.name} does not exist", "reset again")
        return self.record.mark


def want(
    bench: Workbench,
    connection: Connection[Any],
    source: Source,
    catalog: dict[str, DatabaseRecord],
    *,
    rebuild: bool = False,
) -> Wanted:
    """Decide which template a source stands for.

    Raises `seed_not_found`, `snapshot_not_found`, and `seed_changed` or `snapshot_changed` when
    the file is not what the version meant before (`rebuild` allows it).
    """
    taken = _taken_snapshot(source, catalog)
    if taken is not None:
        return taken
    path = find_file(bench.settings, source)
    if path is None and source.version is not None:
        raise missing(bench.settings, source)
    file = bench.hashed(path) if path is not None else None
    content = file.content if file is not None else _NOTHING
    name = template_name(source, content, bench.server(connection))
    record = catalog.get(name)
    if record is None or not record.usable_template:
        record = None
        if file is not None and not rebuild:
            _require_unchanged(connection, source, file, catalog)
    return Wanted(source, name, content, file, record)


def ensure(
    bench: Workbench, wanted: Wanted, *, rebuild: bool = False, strict: bool = False
) -> Wanted:
    """Build the template unless it exists; of several at once, one builds and the others wait.

    `strict` refuses a state that is not the same when built twice (`seed_not_deterministic`).
    Raises what loading raises; what is half built is dropped.
    """
    with bench.own(f"building {wanted.name}") as connection:
        with holding(connection, Lock.WORKSHOP, 0, _WORKSHOP_WAIT_S):
            found = want(
                bench, connection, wanted.source, read_catalog(connection), rebuild=rebuild
            )
            if found.record is not None:
                return found
            size = found.file.bytes if found.file else 0
            bench.require_room(4 * size, f"a template of {found.source.version}")
            # A template that was about to be collected is a template no more, and in the way.
            run(connection, plan.drop(found.name))
            workshop = bench.workshop(connection)
            try:
                workshop.publish(_build(workshop, found, strict))
            finally:
                workshop.clear()
        return want(bench, connection, wanted.source, read_catalog(connection))


def check_again(bench: Workbench, template: DatabaseRecord) -> list[str] | None:
    """Build a template's state once more and name the columns that differ; None: cannot be done.

    Work of the background, for templates whose first build took long.
    """
    if template.mark is None:
        return None
    with (
        bench.own(f"checking {template.name}") as connection,
        holding(connection, Lock.WORKSHOP, 0, _WORKSHOP_WAIT_S),
    ):
        path = find_file(bench.settings, template.mark.source)
        file = bench.hashed(path) if path is not None else None
        if file is None or file.content != template.mark.content:
            return None
        workshop = bench.workshop(connection)
        try:
            second = workshop.build(file, date_differs_in(datetime.now(UTC)))
            if second.whole == template.mark.fingerprint:
                return []
            return _differing_columns(workshop, file, workshop.build(file))
        finally:
            workshop.clear()


def _build(workshop: Workshop, wanted: Wanted, strict: bool) -> Mark:
    started = time.monotonic()
    fingerprint = workshop.build(wanted.file)
    took_s = time.monotonic() - started
    differing: list[str] | None = None
    if wanted.file is None:
        differing = []
    elif strict or took_s <= _CHECK_AT_ONCE_S:
        differing = _differing_columns(workshop, wanted.file, fingerprint)
    if strict and differing:
        raise Refused(
            "seed_not_deterministic",
            f"{wanted.file.path.name if wanted.file else 'the seed'} does not give the same state"
            f" twice: {', '.join(differing)}",
            "write literal values instead of now(), random(), gen_random_uuid() or CURRENT_DATE",
            {"columns": differing},
        )
    further: dict[str, Any] = {
        **fingerprint.document(),
        "built_ms": round(took_s * 1000, 1),
        "source_bytes": wanted.file.bytes if wanted.file else 0,
        "advice": _advice(wanted.file, took_s),
        "not_deterministic": differing,
    }
    mark = Mark(wanted.name, wanted.source, wanted.content, fingerprint.whole, now_text())
    return replace(mark, further=further)


def _differing_columns(workshop: Workshop, file: SeedFile, first: Fingerprint) -> list[str]:
    """Build once more, on another day of the calendar, and compare; the first build stays."""
    workshop.set_aside()
    second = workshop.build(file, date_differs_in(datetime.now(UTC)), keep_first=True)
    differing: list[str] = []
    if second.whole != first.whole:
        tables = [
            name
            for name in sorted({*first.tables, *second.tables})
            if first.tables.get(name) != second.tables.get(name)
        ]
        differing = workshop.columns_that_differ(tables)
        if first.schema != second.schema:
            differing.append("(schema)")
        if first.sequences != second.sequences:
            differing.append("(sequences)")
    workshop.take_back()
    return differing


def _advice(file: SeedFile | None, took_s: float) -> list[str]:
    return advise(file.path.name, count_inserts(file), took_s) if file is not None else []


def _taken_snapshot(source: Source, catalog: dict[str, DatabaseRecord]) -> Wanted | None:
    if source.strategy is not Strategy.SNAPSHOT:
        return None
    for record in catalog.values():
        mark = record.mark
        if (
            record.usable_template
            and mark is not None
            and mark.source == source
            and mark.content.startswith(TAKEN)
        ):
            return Wanted(source, record.name, mark.content, None, record)
    return None


def _require_unchanged(
    connection: Connection[Any],
    source: Source,
    file: SeedFile,
    catalog: dict[str, DatabaseRecord],
) -> None:
    """Refuse new contents under an old version: two slots with one version must be equal."""
    known = {
        record.mark.content
        for record in catalog.values()
        if record.usable_template and record.mark is not None and record.mark.source == source
    }
    if not known:
        row = ledger.latest_of_version(connection, source)
        known = {str(row.details.get("content"))} if row and row.details.get("content") else set()
    if known and file.content not in known:
        raise Refused(
            f"{source.strategy}_changed",
            f"{file.path.name} is not what {source.strategy} {source.version} was before; a"
            " version means one state",
            "give the new contents a version of their own, or say --rebuild",
            {"content": file.content, "known": sorted(known)},
        )
