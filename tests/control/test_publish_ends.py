"""A publish ends once, and nothing is written for it after its end or beyond its lease."""

import pytest

from ouroboros.domain.errors import PreviewError
from ouroboros.domain.publish import PublishState


@pytest.fixture
def running(control_plane):
    """A publish that a worker has claimed."""
    lease = control_plane.take("a").lease
    control_plane.leases.mark_reset(lease)
    control_plane.publishes.queue("a", "/repo", "main")
    publish = control_plane.publishes.claim()
    assert publish is not None
    return publish


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
