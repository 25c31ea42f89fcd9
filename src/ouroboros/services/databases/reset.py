"""A reset: a slot's database becomes exactly what a seed or snapshot says.

Read top to bottom: decide the template, lock the slot, write the row, have a complete clone ready
(a standby that waits, or one made now), close the old database, swap. Nothing is touched before
the template is known to exist, and nothing is half done after: until the swap commits, the slot
has its old database, and from then on the new one.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from psycopg import Connection

from ouroboros.adapters.cluster import ledger
from ouroboros.adapters.cluster.catalog import DatabaseRecord, read_catalog
from ouroboros.adapters.cluster.failures import translated
from ouroboros.adapters.cluster.locks import Lock, holding
from ouroboros.adapters.cluster.sql import run
from ouroboros.adapters.cluster.swap import (
    Swap,
    close,
    require_fence,
    swap_into_place,
)
from ouroboros.domain.errors import Failed, PreviewError
from ouroboros.domain.failpoint import failpoint
from ouroboros.domain.reset import ResetPath, ResetReport, Source
from ouroboros.domain.slot import Slot
from ouroboros.domain.template import Mark
from ouroboros.plans import databases as plan
from ouroboros.plans.sql import Statement
from ouroboros.services.databases.standbys import find_standby, make_standby
from ouroboros.services.databases.templates import Wanted, ensure, want
from ouroboros.services.databases.workbench import Workbench, now_text

_SLOT_WAIT_S = 50.0


@dataclass(slots=True)
class _Stopwatch:
    """Durations of the parts of a reset in milliseconds."""

    started: float = field(default_factory=time.perf_counter)
    lap_started: float = field(default_factory=time.perf_counter)
    laps: dict[str, float] = field(default_factory=dict)

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round((now - self.lap_started) * 1000, 3)
        self.lap_started = now

    def total_ms(self) -> float:
        return round((time.perf_counter() - self.started) * 1000, 3)


def reset(
    bench: Workbench,
    slot: Slot,
    source: Source,
    *,
    run_id: str | None,
    fence: int | None,
    rebuild: bool = False,
    strict: bool = False,
) -> ResetReport:
    """Bring a slot's database to the state of a source.

    With a fence, only while the slot is leased under it (`stale_fence`). One row in
    `preview_db_resets` for each attempt that got as far as touching anything. May be repeated.
    """
    watch = _Stopwatch()
    with bench.borrowed(f"resetting {slot.database.name}") as connection:
        wanted = want(bench, connection, source, read_catalog(connection), rebuild=rebuild)
        require_fence(connection, slot, fence)
        # The row is written and settled under the lock: a row that says running while nobody
        # holds the lock belongs to a process that died, and recovery settles it.
        with holding(connection, Lock.SLOT, slot.number, _SLOT_WAIT_S):
            watch.lap("wait")
            reset_id = ledger.begin(connection, slot, source, run_id, fence)
            failpoint("reset.begun")
            attempt = _Attempt(slot, wanted, reset_id, fence, watch, rebuild, strict)
            try:
                with translated(f"resetting {slot.database.name}"):
                    return _carry_out(bench, connection, attempt)
            except PreviewError as error:
                _record_failure(bench, reset_id, error)
                raise


@dataclass(frozen=True, slots=True)
class _Attempt:
    slot: Slot
    wanted: Wanted
    reset_id: int
    fence: int | None
    watch: _Stopwatch
    rebuild: bool
    strict: bool
    standby: str = ""


def _carry_out(bench: Workbench, connection: Connection[Any], attempt: _Attempt) -> ResetReport:
    """Have a complete clone ready, whichever way is needed, and swap it in."""
    slot = attempt.slot
    path = ResetPath.SWAP
    if attempt.wanted.record is None:
        wanted = ensure(bench, attempt.wanted, rebuild=attempt.rebuild, strict=attempt.strict)
        attempt = replace(attempt, wanted=wanted)
        path = ResetPath.BUILD
        attempt.watch.lap("build")
    catalog = read_catalog(connection)
    standby = find_standby(catalog, slot.database, attempt.wanted.name)
    if standby is None:
        path = ResetPath.BUILD if path is ResetPath.BUILD else ResetPath.CLONE
        standby = slot.database.standby
        with bench.own(f"cloning {attempt.wanted.name} for {slot.id}") as own:
            make_standby(bench, own, slot, attempt.wanted.mark, standby)
        attempt.watch.lap("clone")
    failpoint("reset.standby_ready")
    attempt = replace(attempt, standby=standby)
    return _swap(bench, connection, attempt, path, catalog.get(slot.database.name))


def _swap(
    bench: Workbench,
    connection: Connection[Any],
    attempt: _Attempt,
    path: ResetPath,
    old: DatabaseRecord | None,
) -> ResetReport:
    database = attempt.slot.database
    mark = attempt.wanted.mark
    swapped: Mapping[str, Any] = {}
    swap = Swap(
        attempt.slot,
        attempt.standby,
        attempt.reset_id,
        attempt.fence,
        bench.verifier(attempt.slot),
        _live(mark, attempt.reset_id),
        partial(_completion, attempt, path),
    )
    try:
        if old is not None:
            close(connection, database.name)
            attempt.watch.lap("close")
        failpoint("reset.before_rename")
        swapped = swap_into_place(connection, bench.access, swap, replaces=old is not None)
        attempt.watch.lap("swap")
    finally:
        if not swapped:
            _reopen(connection, database.name, old)
    failpoint("reset.swapped")
    return ResetReport(
        attempt.reset_id,
        database.name,
        attempt.wanted.source,
        path,
        mark.fingerprint,
        attempt.watch.total_ms(),
        {**swapped, "durations_ms": dict(attempt.watch.laps)},
    )


def _completion(attempt: _Attempt, path: ResetPath, ended: int) -> Statement:
    """What the row says of a reset that is completed."""
    mark = attempt.wanted.mark
    details = {
        "path": str(path),
        "fingerprint": mark.fingerprint,
        "template": mark.template,
        "content": mark.content,
        "sessions_ended": ended,
        "durations_ms": dict(attempt.watch.laps),
        "advice": mark.further.get("advice", []),
        "not_deterministic": mark.further.get("not_deterministic") or [],
    }
    return ledger.completion(attempt.reset_id, details, attempt.watch.total_ms())


def _live(mark: Mark, reset_id: int) -> str:
    clone = mark.for_clone(now_text())
    return Mark(
        clone.template, clone.source, clone.content, clone.fingerprint, clone.made_at, reset_id
    ).text()


def _reopen(connection: Connection[Any], name: str, old: DatabaseRecord | None) -> None:
    """After a swap that did not happen the old database, which is whole, serves again."""
    if old is not None and not connection.broken:
        run(connection, plan.allow_connections(name, True))


def _record_failure(bench: Workbench, reset_id: int, error: PreviewError) -> None:
    """Settle the row; when even that fails, recovery settles it later."""
    try:
        with bench.borrowed(f"recording reset {reset_id}", wait_s=1.0) as connection:
            ledger.fail(connection, reset_id, error)
    except PreviewError as second:
        raise Failed(
            error.code, f"{error.message} (and it could not be recorded: {second})", error.hint
        ) from error
