"""Backends that are started by hand while a publish of the same slot is under way."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest
from tests.publish.applications import PREVIEW_TOML
from tests.publish.crash_world import CrashWorld, crash_world

from ouroboros.domain.errors import Refused
from ouroboros.services.backends import Backends


@pytest.fixture(scope="module")
def world() -> Iterator[CrashWorld]:
    with crash_world() as made:
        yield made


@pytest.fixture
def published(world: CrashWorld) -> Iterator[CrashWorld]:
    world.serve_first()
    yield world
    world.end_lease()


def meanwhile(world: CrashWorld, verb: str, happens: Callable[[], object]) -> Backends:
    """The backends, where something happens just before the runtime is asked for this verb."""
    runtime = world.at.runtime
    left = [happens]

    def late(*arguments):
        if left:
            left.pop()()
        return getattr(runtime, verb)(*arguments)

    calls = {name: getattr(runtime, name) for name in ("start", "stop", "park", "status")}
    return replace(world.at.backends, runtime=SimpleNamespace(**{**calls, verb: late}))


@pytest.mark.parametrize(("verb", "call"), [("start", "start"), ("restart", "park")])
def test_old_code_is_not_put_under_a_publish_that_became_ready_meanwhile(published, verb, call):
    second = published.queue_publish()
    backends = meanwhile(published, call, lambda: published.run_to_the_end(second))
    assert getattr(backends, verb)(published.slot)["publish_id"] == second
    published.require_ended(second, is_undone=False)


def test_live_code_is_ended_again_when_a_publish_changes_the_database_meanwhile(published):
    second = published.queue_publish()
    told = []

    def migrate() -> None:
        told.append(published.workers.order(publish=second, arm={"migrate.ran": "stop"}))

    with pytest.raises(Refused) as refused:
        meanwhile(published, "start", migrate).start(published.slot)
    assert refused.value.code == "slot_busy"
    assert published.at.runtime.status(published.slot).state == "stopped"
    assert published.workers.order(**{"continue": stopped(told[0])}) == "ended 0"
    published.require_ended(second, is_undone=False)


def test_live_code_that_was_started_before_the_database_was_kept_does_not_meet_the_new_schema(
    published,
):
    second = published.queue_publish()
    arm = {"migrate.held": "stop", "migrate.ran": "stop"}
    worker = stopped(published.workers.order(publish=second, arm=arm))
    assert published.at.backends.restart(published.slot)["publish_id"] == published.live
    stopped(published.workers.order(**{"continue": worker}))
    assert published.at.runtime.status(published.slot).state == "stopped"
    assert published.workers.order(**{"continue": worker}) == "ended 0"
    published.require_ended(second, is_undone=False)


def test_a_publish_is_not_proven_by_the_backend_of_another(world):
    """A backend that binds its port by itself tells no nonce."""
    world.allocate()
    try:
        first = queue(world, PREVIEW_TOML, "1")
        world.run_to_the_end(first)
        second = queue(world, PREVIEW_TOML, "2")
        arm = {"publish.restart.recorded": "stop"}
        worker = stopped(world.workers.order(publish=second, arm=arm))
        assert world.at.backends.restart(world.slot)["publish_id"] == first
        assert world.workers.order(**{"continue": worker}) == "ended 0"
        ended = world.at.publishes.get(second)
        assert (ended["state"], ended["failed_step"]) == ("failed", "readiness")
        assert world.at.backends.health(world.slot)["publish_id"] == first
    finally:
        world.end_lease()


def test_a_backend_whose_successor_is_none_serves_until_the_switch(world):
    world.allocate()
    try:
        first = queue(world, PREVIEW_TOML, "1")
        world.run_to_the_end(first)
        pages_only = PREVIEW_TOML.partition("[backend]")[0]
        second = queue(world, pages_only, "2")
        arm = {"publish.switch.before": "stop"}
        worker = stopped(world.workers.order(publish=second, arm=arm))
        assert world.at.backends.health(world.slot)["publish_id"] == first
        assert world.workers.order(**{"continue": worker}) == "ended 0"
        assert world.at.publishes.get(second)["state"] == "ready"
        assert world.at.runtime.status(world.slot).state == "stopped"
    finally:
        world.end_lease()


def queue(world: CrashWorld, application: str, marker: str) -> str:
    world.repository.commit("work", {"preview.toml": application, "marker": marker})
    return world.at.publishes.queue(world.run_id, str(world.repository.path), "work")


def stopped(answer: str) -> int:
    """The pid of a worker that waits at its failpoint."""
    assert answer.startswith("stopped "), answer
    return int(answer.split()[1])
