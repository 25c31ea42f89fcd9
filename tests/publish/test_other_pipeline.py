"""A publish that another version of the pipeline began leaves nothing behind, however it ends."""

from collections.abc import Iterator

import psycopg
import pytest
from tests.publish.crash_world import CrashWorld, crash_world


@pytest.fixture(scope="module")
def world() -> Iterator[CrashWorld]:
    with crash_world() as made:
        made.serve_first()
        yield made
        made.end_lease()


def begun_by_another_version(world: CrashWorld, point: str) -> str:
    publish_id = world.queue_publish()
    assert world.workers.order(publish=publish_id, arm={point: "kill"}) == "killed"
    with psycopg.connect(world.at.access.control_dsn(), autocommit=True) as db:
        db.execute("UPDATE publishes SET pipeline_version = 0 WHERE publish_id = %s", (publish_id,))
    return publish_id


def test_what_it_did_is_undone_when_it_is_cancelled(world):
    publish_id = begun_by_another_version(world, "publish.migrate.recorded")
    world.at.publishes.cancel(publish_id)
    world.run_to_the_end(publish_id)
    assert world.at.publishes.get(publish_id)["state"] == "cancelled"
    world.require_whole(world.live)


def test_an_end_that_was_begun_is_brought_to_its_end(world):
    publish_id = begun_by_another_version(world, "publish.migrate.recorded")
    world.at.publishes.cancel(publish_id)
    assert world.workers.order(publish=publish_id, arm={"publish.end.begun": "kill"}) == "killed"
    world.run_to_the_end(publish_id)
    assert world.at.publishes.get(publish_id)["state"] == "cancelled"
    world.require_whole(world.live)


def test_every_step_is_done_again(world):
    publish_id = begun_by_another_version(world, "publish.migrate.recorded")
    world.run_to_the_end(publish_id)
    world.require_ended(publish_id, is_undone=False)
    found = world.at.publishes.get(publish_id)
    attempts = {step["step"]: step["attempts"] for step in found["steps"]}
    assert {attempts[step] for step in ("source", "frontend", "backend", "migrate")} == {2}
