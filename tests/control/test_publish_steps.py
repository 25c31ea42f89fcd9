"""Steps of a publish: what their ends record, and who is woken by them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from ouroboros.adapters.control.publishes import PUBLISHES_CHANNEL, STEPS_CHANNEL
from ouroboros.adapters.publish_log import Artifact
from ouroboros.domain.errors import PreviewError

FILE = Artifact("source.log", "text/plain", 3, "0" * 64, Path("/artifacts/p1/source.log"))


@contextmanager
def listening(control_plane) -> Iterator[psycopg.Connection]:
    with psycopg.connect(control_plane.dsn, autocommit=True) as db:
        for channel in (PUBLISHES_CHANNEL, STEPS_CHANNEL):
            db.execute(f"LISTEN {channel}")
        yield db


def heard(db: psycopg.Connection) -> list[tuple[str, str]]:
    """What was told until now."""
    db.execute("NOTIFY " + PUBLISHES_CHANNEL + ", 'until now'")
    told = []
    for notice in db.notifies(timeout=20):
        if notice.payload == "until now":
            return told
        told.append((notice.channel, notice.payload))
    raise AssertionError(told)


def test_a_step_wakes_who_watches_and_what_a_worker_acts_on_wakes_the_worker(
    control_plane, running
):
    store, name = control_plane.publishes, running.publish_id
    with listening(control_plane) as db:
        store.begin_step(running, "source", 1)
        store.end_step(running, "source", succeeded=True, result={})
        assert heard(db) == [(STEPS_CHANNEL, name)] * 2
        store.cancel(name)
        assert heard(db) == [(PUBLISHES_CHANNEL, name)]
        newer = store.queue("a", "/repo", "main")
        assert heard(db) == [(PUBLISHES_CHANNEL, newer)]
        store.finish_otherwise(running, "cancelled", None, None)
        assert heard(db) == [(PUBLISHES_CHANNEL, name)]


def test_the_end_of_a_step_and_the_files_it_left_are_recorded_together_or_not_at_all(
    control_plane, running
):
    store = control_plane.publishes
    store.begin_step(running, "source", 1)
    store.end_step(running, "source", succeeded=True, result={}, artifacts=[FILE])
    store.begin_step(running, "frontend", 2)
    found = store.get(running.publish_id)
    assert [each["name"] for each in found["artifacts"]] == ["source.log"]
    control_plane.leases.release(running.slot, "a")
    other = Artifact("frontend.log", FILE.media_type, 3, FILE.sha256, FILE.path)
    with pytest.raises(PreviewError) as refused:
        store.end_step(running, "frontend", succeeded=True, result={}, artifacts=[other])
    assert refused.value.code == "stale_fence"
    after = store.get(running.publish_id)
    assert after["artifacts"] == found["artifacts"]
    assert [each["state"] for each in after["steps"]] == ["done", "running"]
