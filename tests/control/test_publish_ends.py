"""A publish ends once, and nothing is written for it after its end or beyond its lease."""

import threading

import psycopg
import pytest

from ouroboros.domain.errors import PreviewError
from ouroboros.domain.publish import PublishState


def refusal(act, *arguments, **named) -> str:
    with pytest.raises(PreviewError) as refused:
        act(*arguments, **named)
    return refused.value.code


def live_publish(control_plane) -> str | None:
    return control_plane.sql("SELECT live_publish FROM slots WHERE slot_id = 'preview-1'")[0][
        "live_publish"
    ]


def test_a_publish_becomes_the_live_one_in_the_instant_it_ends_ready(control_plane, running):
    control_plane.publishes.finish_ready(running)
    assert control_plane.publishes.get(running.publish_id)["state"] == "ready"
    assert live_publish(control_plane) == running.publish_id


def test_a_slot_shows_no_publish_when_its_lease_has_ended(control_plane, running):
    """Else whoever compares what is told with what is served finds a free slot broken."""
    control_plane.publishes.finish_ready(running)
    assert control_plane.reader.get(running.slot)["publish_id"] == running.publish_id
    control_plane.leases.release(running.slot, "a")
    assert control_plane.reader.get(running.slot)["publish_id"] is None


def test_a_cancelled_publish_cannot_become_ready_however_late_it_was_cancelled(
    control_plane, running
):
    control_plane.publishes.cancel(running.publish_id)
    assert refusal(control_plane.publishes.finish_ready, running) == "cancelled"
    assert live_publish(control_plane) is None


def test_a_superseded_publish_cannot_become_ready(control_plane, running):
    control_plane.publishes.queue("a", "/repo", "newer")
    assert refusal(control_plane.publishes.finish_ready, running) == "superseded"
    assert live_publish(control_plane) is None


def test_a_publish_whose_lease_ended_cannot_become_ready(control_plane, running):
    control_plane.leases.release(running.slot, "a")
    assert refusal(control_plane.publishes.finish_ready, running) == "stale_fence"
    assert live_publish(control_plane) is None


@pytest.mark.parametrize("state", [PublishState.FAILED, PublishState.CANCELLED])
def test_nothing_is_recorded_for_a_publish_after_its_end(control_plane, running, state):
    store = control_plane.publishes
    store.finish_otherwise(running, state, None, None)
    assert refusal(store.finish_ready, running) == "publish_has_ended"
    assert refusal(store.begin_step, running, "source", 1) == "publish_has_ended"
    assert refusal(store.set_commit, running, "0" * 40) == "publish_has_ended"
    assert live_publish(control_plane) is None
    assert store.get(running.publish_id)["state"] == state


def test_two_claims_at_once_on_one_slot_take_one_publish(control_plane, running):
    """The one that comes second finds the slot busy, whatever it saw when it began."""
    control_plane.publishes.finish_otherwise(running, PublishState.FAILED, None, None)
    ids = [control_plane.publishes.queue("a", "/repo", "main") for _ in range(2)]
    # A newer publish supersedes an older one; here both are to be queued.
    control_plane.sql(
        "UPDATE publishes SET state = 'queued', finished_at = NULL WHERE publish_id = ANY(%(ids)s)",
        ids=ids,
    )
    found = []
    with psycopg.connect(control_plane.dsn) as other:
        other.execute(
            "UPDATE publishes SET state = 'running', started_at = now() WHERE publish_id = %s",
            [ids[1]],
        )
        thread = threading.Thread(target=lambda: found.append(control_plane.publishes.claim()))
        thread.start()
        while not control_plane.sql(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
            "current_database()"
        ):
            pass
        other.commit()
    thread.join(30)
    assert found == [None]
