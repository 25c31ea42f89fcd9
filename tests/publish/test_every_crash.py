"""Every crash point of a publish recovers, and so does every crash point of the recovery.

The failpoints are read from the code. Which of them a publish passes, going well or being undone,
is found out by letting it pass; the one that is in neither list fails a test.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.publish.crash_world import CrashWorld, crash_world, failpoints

ERROR = {"publish.switch.after": "raise"}
"""An error that nobody expects, in the last step, when visitors see the new release already."""


@dataclass(frozen=True)
class Scenario:
    """Something that a worker does to a slot, and how it ends when nothing dies."""

    is_rollback: bool
    is_undone: bool

    def __str__(self) -> str:
        what = "rollback" if self.is_rollback else "publish"
        return f"{what}-undone" if self.is_undone else what

    @property
    def arm(self) -> dict[str, str]:
        return ERROR if self.is_undone else {}

    def queue(self, world: CrashWorld) -> str:
        return world.queue_rollback() if self.is_rollback else world.queue_publish()


SCENARIOS = [
    Scenario(is_rollback, is_undone) for is_rollback in (False, True) for is_undone in (False, True)
]


@pytest.fixture(scope="module")
def world() -> Iterator[CrashWorld]:
    with crash_world() as made:
        before = made.databases()
        made.allocate()
        for _ in range(2):
            first = made.queue_publish()
            made.run_to_the_end(first)
            made.require_ended(first, is_undone=False)
        yield made
        made.require_whole(made.live)
        made.end_lease()
        left = made.databases() - before
        templates = {name for name in left if name.startswith("ouroboros_tpl_")}
        assert left - templates == {f"{made.slot.database.name}__next"}, "besides its standby"
        assert len(templates) == 1


@pytest.fixture(scope="module")
def passed(world: CrashWorld, tmp_path_factory) -> dict[Scenario, list[str]]:
    """The failpoints that each scenario passes when nothing dies."""
    return {each: trace(world, tmp_path_factory, each) for each in SCENARIOS}


def trace(world: CrashWorld, tmp_path_factory, scenario: Scenario, *points: str) -> list[str]:
    """What the last worker passes after others were killed at these points."""
    notes = tmp_path_factory.mktemp("trace") / "passed"
    notes.touch()  # who finds that all is done passes nothing
    publish_id = scenario.queue(world)
    lives = [{**scenario.arm, point: "kill"} for point in points]
    world.run_to_the_end(publish_id, *lives, last=scenario.arm, trace=notes)
    world.require_ended(publish_id, is_undone=scenario.is_undone)
    return list(dict.fromkeys(notes.read_text().split()))


def crash(world: CrashWorld, scenario: Scenario, *points: str) -> int:
    """Let a worker be killed at each of these points in turn; how many were killed."""
    publish_id = scenario.queue(world)
    lives = [{**scenario.arm, point: "kill"} for point in points]
    killed = world.run_to_the_end(publish_id, *lives, last=scenario.arm)
    world.require_ended(publish_id, is_undone=scenario.is_undone)
    return killed


def test_every_failpoint_is_passed_in_some_scenario(passed):
    """A failpoint that no scenario passes is a crash that nobody tried."""
    assert set(failpoints()) == {point for points in passed.values() for point in points}


@pytest.mark.parametrize("point", failpoints())
def test_a_worker_killed_there_is_followed_by_one_that_ends_it_well(world, passed, point):
    scenario = next(each for each in SCENARIOS if point in passed[each])
    assert crash(world, scenario, point) == 1


@pytest.mark.soak
@pytest.mark.timeout(3 * 3600)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_so_is_one_whose_follower_is_killed_too(world, passed, tmp_path_factory, scenario):
    """N² of N²: each crash point with each crash point of the recovery from it.

    What is passed going well and being undone alike is a first crash once.
    """
    tried = 0
    well = passed[Scenario(scenario.is_rollback, is_undone=False)] if scenario.is_undone else []
    for first in passed[scenario]:
        if first in well:
            continue
        for second in trace(world, tmp_path_factory, scenario, first):
            assert crash(world, scenario, first, second) == 2, (first, second)
            tried += 1
            print(f"{tried}: {scenario}: {first}, then {second}", flush=True)
    assert tried > len(passed[scenario]) - len(well)
