"""The output of publishes: stored in order, once, and brought to whoever waits."""

import time
from contextlib import closing
from threading import Event

import pytest

from ouroboros.adapters.control.listener import ChangeListener
from ouroboros.adapters.control.output import OUTPUT_CHANNEL, OutputStore
from ouroboros.adapters.output_delivery import OutputDelivery
from ouroboros.adapters.publish_log import PUBLISH_LOG, LogPart, PublishLog
from ouroboros.domain.errors import NotFound
from ouroboros.domain.publish import PublishState

LIMIT_S = 20


@pytest.fixture
def publish(control_plane):
    """A publish that is at work."""
    lease = control_plane.take("a").lease
    control_plane.sql("UPDATE slots SET reset_fence = fence")
    control_plane.publishes.queue("a", "/somewhere", "main")
    found = control_plane.publishes.claim()
    assert found is not None
    assert found.fence == lease.fence
    return found


@pytest.fixture
def store(control_plane):
    return OutputStore(control_plane.pool)


def stored_text(store, publish, steps=None):
    after, text = 0, ""
    while (rows := store.read(publish.publish_id, after, steps)[1]) != []:
        text += "".join(row["chunk"] for row in rows)
        after = rows[-1]["seq"]
    return text


def wait_for(condition):
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_part_is_stored_once_and_only_behind_the_one_before(store, publish):
    first, second = LogPart(0, 3, "source", "abc"), LogPart(3, 5, "source", "de")
    assert not store.append(publish, second)
    assert store.append(publish, first)
    assert not store.append(publish, first)
    assert store.append(publish, second)
    assert stored_text(store, publish) == "abcde"
    assert store.stored(publish.publish_id) == 5


def test_nothing_is_added_to_a_publish_that_has_ended(control_plane, store, publish):
    assert store.append(publish, LogPart(0, 3, "source", "abc"))
    control_plane.publishes.finish_otherwise(publish, PublishState.FAILED, "source", None)
    assert not store.append(publish, LogPart(3, 5, "source", "de"))
    assert store.read(publish.publish_id, 0)[0] is PublishState.FAILED


def test_reading_goes_on_behind_any_part_and_can_be_of_some_steps(store, publish):
    for at in range(100):
        assert store.append(publish, LogPart(at, at + 1, "a" if at % 2 else "b", str(at % 10)))
    assert stored_text(store, publish) == "0123456789" * 10
    assert stored_text(store, publish, ("a",)) == "13579" * 10
    assert store.read(publish.publish_id, 98)[1][0]["chunk"] == "8"
    with pytest.raises(NotFound):
        store.read("p999", 0)


def test_what_is_written_is_told_to_whoever_listens(control_plane, store, publish, tmp_path):
    listener = ChangeListener(control_plane.dsn, OUTPUT_CHANNEL)
    told, other = Event(), Event()
    with (
        listener.calling(OUTPUT_CHANNEL, publish.publish_id, told.set),
        listener.calling(OUTPUT_CHANNEL, "p999", other.set),
    ):
        wait_for(lambda: told.is_set() and other.is_set())  # it listens now
        told.clear()
        other.clear()
        log = PublishLog(tmp_path, [])
        with closing(log), closing(OutputDelivery(publish, log, store)):
            log.step("frontend", "Build")
            assert told.wait(LIMIT_S)
            wait_for(lambda: "Build" in stored_text(store, publish))
    assert not other.is_set()


def test_what_an_outage_loses_is_stored_again_from_the_file(
    control_plane, store, publish, tmp_path
):
    log = PublishLog(tmp_path, [])
    with closing(log), closing(OutputDelivery(publish, log, store)) as delivery:
        log.step("frontend", "Build")
        for number in range(50):
            log.output(b"line %d\n" % number)
            if number % 10 == 9:
                delivery.finish()
            if number == 25:
                control_plane.sql(
                    "DELETE FROM publish_output WHERE seq > (SELECT min(seq) FROM publish_output)"
                )
        delivery.finish()
    assert stored_text(store, publish) == (tmp_path / PUBLISH_LOG).read_text()


def test_the_next_worker_delivers_what_a_killed_one_had_only_written(store, publish, tmp_path):
    with closing(PublishLog(tmp_path, [])) as log:
        log.step("frontend", "Build")
        part = log.part_after(0, 10)
        assert part is not None
        assert store.append(publish, part)
        log.output(b"written but not stored")
    again = PublishLog(tmp_path, [], "frontend")
    with closing(again), closing(OutputDelivery(publish, again, store)) as delivery:
        again.step("frontend", "Build")
        delivery.finish()
    assert stored_text(store, publish, ("frontend",)) == (tmp_path / PUBLISH_LOG).read_text()


def test_only_the_newest_publishes_of_a_slot_keep_their_output(control_plane, store, publish):
    assert store.append(publish, LogPart(0, 3, "source", "abc"))
    store.forget_old(publish.slot, keep=1)
    assert stored_text(store, publish) == "abc"
    store.forget_old(publish.slot, keep=0)
    assert stored_text(store, publish) == ""
