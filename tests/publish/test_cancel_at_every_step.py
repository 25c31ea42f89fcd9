"""A publish that is cancelled ends cancelled at any step, and what was served before still is.

The worker is held at a failpoint while the publish is cancelled, so the instant is exact: also
the last one, between the proof of the new release and its record.
"""

import json
from collections.abc import Iterator

import pytest
from tests.publish.crash_world import CrashWorld, crash_world

from ouroboros.domain.publish import StepName

POINTS = [
    *(f"publish.{step}.{at}" for step in StepName for at in ("before", "after", "recorded")),
    "publish.ready.before",
]
QUICK = ("publish.source.recorded", "publish.frontend.before", "publish.migrate.after",
         "publish.switch.after", "publish.ready.before")  # fmt: skip


@pytest.fixture(scope="module")
def world() -> Iterator[CrashWorld]:
    with crash_world() as made:
        made.serve_first()
        yield made
        made.end_lease()


@pytest.mark.parametrize(
    "point", [pytest.param(p, marks=() if p in QUICK else pytest.mark.soak) for p in POINTS]
)
def test_a_publish_cancelled_there_changes_nothing(world, point):
    publish_id = world.queue_publish()
    told = world.workers.order(publish=publish_id, arm={point: "stop"})
    assert told.startswith("stopped "), told
    world.at.publishes.cancel(publish_id)
    assert world.workers.order(**{"continue": int(told.split()[1])}) == "ended 0"
    found = world.at.publishes.get(publish_id)
    assert found["state"] == "cancelled", found["error"]
    told = json.loads((world.at.web_roots.directory(world.slot) / "state.json").read_text())
    assert told["state"] == "failed", "its page says that it is still being built"
    world.require_whole(world.live)
