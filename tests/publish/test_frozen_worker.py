"""A worker that was stopped for longer than its lease wakes up and changes nothing, at any step.

It is stopped at a failpoint; its lease expires, and another run is given the slot. Where it is
stopped inside of something that nobody may pass, the other run is refused until it has woken.
"""

import itertools
from collections.abc import Iterator

import pytest
from tests.publish.crash_world import CrashWorld, crash_world, failpoints

from ouroboros.adapters import web_roots
from ouroboros.adapters.control import slots
from ouroboros.domain.errors import PreviewError
from ouroboros.services.databases import reset

UNDONE = (".undone", "publish.end.", "publish.ready.recorded", "rollback.", "exchange.")
"""Passed by what is undone, rolled back or over already: nothing more is switched there."""

POINTS = [point for point in failpoints() if not any(part in point for part in UNDONE)]
QUICK = ("publish.source.after", "migrate.ran", "publish.restart.after", "publish.switch.before",
         "publish.ready.before", "web_root.fence_compared")  # fmt: skip
_runs = itertools.count(1)


@pytest.fixture(scope="module")
def world() -> Iterator[CrashWorld]:
    with crash_world() as made:
        made.allocate()
        yield made
        made.end_lease()


@pytest.fixture(autouse=True)
def short_patience(monkeypatch) -> None:
    """Who waits for a frozen process gives up after a second and not after a minute."""
    monkeypatch.setattr(slots, "_WORK_WAIT_S", 1.0)
    monkeypatch.setattr(web_roots, "_BUSY_AFTER_S", 1.0)
    monkeypatch.setattr(reset, "_SLOT_WAIT_S", 1.0)


@pytest.mark.parametrize(
    "point", [pytest.param(p, marks=() if p in QUICK else pytest.mark.soak) for p in POINTS]
)
def test_a_worker_frozen_there_past_its_lease_changes_nothing(world, point):
    if world.live == "":
        first = world.queue_publish()
        world.run_to_the_end(first)
        world.require_ended(first, is_undone=False)
    frozen = world.queue_publish()
    told = world.workers.order(publish=frozen, arm={point: "stop"})
    assert told.startswith("stopped "), told
    try:
        world.let_expire()
        next_run = f"next-{next(_runs)}"
        entered = enter(world, next_run)
    finally:
        ended = world.workers.order(**{"continue": int(told.split()[1])})
    assert ended == "ended 0"
    found = world.at.publishes.get(frozen)
    assert found["state"] == "cancelled", found["error"]
    if not entered:
        world.at.keeper.reap()
        assert enter(world, next_run), "the frozen worker still stands in the way"
    world.require_untouched()


def enter(world: CrashWorld, run_id: str) -> bool:
    """Whether the run could enter the slot; not while a frozen process holds it."""
    try:
        world.enter(run_id)
    except PreviewError as error:
        # The last: the frozen worker was just making a standby of this slot.
        assert error.code in ("slot_busy", "web_root_busy", "slot_databases_busy"), error
        return False
    return True
