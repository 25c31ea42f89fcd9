"""The queue: in order, with an estimate, woken without a gap, and cleared of idle leases if set."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from ouroboros.adapters.control.leases import SLOTS_CHANNEL
from ouroboros.adapters.control.listener import ChangeListener
from ouroboros.domain.lease import Holder, estimate_starts

NOW = datetime(2026, 5, 16, 12, tzinfo=UTC)
ALL = ("a", "b", "c")


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def holder(since: float, until: float) -> Holder:
    return Holder("preview-1", "run", at(since), at(until))


def test_leases_are_expected_to_last_as_long_as_those_before_them():
    holders = [holder(-20, 30), holder(-5, 30)]
    assert estimate_starts(NOW, holders, 1800.0, 4) == [at(10), at(25), at(40), at(55)]


def test_a_lease_that_has_lasted_longer_than_usual_may_end_at_any_moment():
    assert estimate_starts(NOW, [holder(-90, 30)], 1800.0, 2) == [NOW, at(30)]


def test_without_experience_a_lease_is_expected_to_end_when_it_expires():
    assert estimate_starts(NOW, [holder(-10, 20), holder(-5, 25)], None, 3) == [
        at(20), at(25), at(50),
    ]  # fmt: skip


def test_without_a_slot_there_is_no_estimate():
    assert estimate_starts(NOW, [], 1800.0, 3) == []


@pytest.fixture
def full(control_plane):
    """Every slot is held; two runs wait."""
    for run in ALL:
        control_plane.take(run)
    for run in ("late", "later"):
        control_plane.leases.enqueue(run, "main")
    return control_plane


def test_the_queue_says_in_which_order_and_about_when(full):
    rows = full.reader.queue()
    assert [(row["position"], row["run_id"]) for row in rows] == [(1, "late"), (2, "later")]
    expiries = [h.expires_at for h in full.leases.waiting("late").holders]
    assert [row["estimated_at"] for row in rows] == sorted(expiries)[:2]


def test_the_estimate_follows_what_leases_lasted_lately(full):
    """Each ended lease is written down with how long it was held."""
    full.sql("UPDATE slots SET leased_at = leased_at - interval '10 minutes'")
    slot = full.slots.by_number(1)
    full.leases.release(slot, "a")
    full.sql("UPDATE slots SET leased_at = clock_timestamp() WHERE slot_id <> 'preview-1'")
    estimated = full.reader.queue()[0]["estimated_at"]
    assert timedelta(minutes=9) < estimated - datetime.now(UTC) < timedelta(minutes=11)


def test_an_expired_lease_counts_as_much_as_a_released_one(full):
    full.sql("UPDATE slots SET leased_at = leased_at - interval '5 minutes'")
    full.let_expire("preview-1")
    full.leases.turn()
    held = full.sql("SELECT details ->> 'held_s' AS s FROM events WHERE kind = 'lease.expired'")
    assert 299 < float(held[0]["s"]) < 330


def test_a_run_that_leaves_the_queue_is_passed_over(full):
    assert full.leases.leave_queue("late")
    full.leases.release(full.slots.by_number(1), "a")
    assert full.reader.get(full.slots.by_number(1))["run_id"] == "later"


@pytest.fixture
def listener(full) -> Iterator[ChangeListener]:
    listening = ChangeListener(full.dsn, SLOTS_CHANNEL)
    ready = listening.follow()
    full.sql("SELECT pg_notify(%(channel)s, '')", channel=SLOTS_CHANNEL)
    ready(10.0)
    return listening


def test_a_release_wakes_who_waits(full, listener):
    wait, woken = listener.follow(), threading.Event()

    def waiter() -> None:
        wait(60.0)
        woken.set()

    thread = threading.Thread(target=waiter, daemon=True)
    thread.start()
    full.leases.release(full.slots.by_number(1), "a")
    assert woken.wait(20.0)


def test_a_release_between_looking_and_waiting_is_not_missed(full, listener):
    """The wait of the follower returns at once for what was told after it last looked."""
    heard, late = listener.follow(), listener.follow()
    full.leases.release(full.slots.by_number(1), "a")
    heard(20.0)
    begun = time.monotonic()
    late(60.0)
    assert time.monotonic() - begun < 30.0


def idle_for(control_plane, slot_id: str, minutes: int) -> None:
    control_plane.sql(
        "UPDATE slots SET leased_at = leased_at - make_interval(mins => %(minutes)s), heartbeat_at"
        " = heartbeat_at - make_interval(mins => %(minutes)s) WHERE slot_id = %(slot_id)s",
        slot_id=slot_id, minutes=minutes,
    )  # fmt: skip


def idle_slots(control_plane) -> list[str]:
    return [slot.id for slot, _ in control_plane.leases.idle(600)]


def test_the_lease_that_was_idle_longest_is_evicted_for_the_next_in_the_queue(full):
    idle_for(full, "preview-2", 30)
    idle_for(full, "preview-3", 20)
    (slot, fence), *_ = full.leases.idle(600)
    assert slot.id == "preview-2"
    ended = full.leases.evict(slot, fence, 600)
    assert (ended.slot, ended.run_id) == (slot, "b")
    assert full.reader.get(slot)["run_id"] == "late"
    assert full.leases.claim("b") is None


def test_nobody_is_evicted_while_nobody_waits_in_vain(full):
    idle_for(full, "preview-2", 30)
    (slot, fence), *_ = full.leases.idle(600)
    for run in ("late", "later"):
        full.leases.leave_queue(run)
    assert idle_slots(full) == []
    assert full.leases.evict(slot, fence, 600) is None
    assert full.reader.get(slot)["run_id"] == "b"


def test_a_heartbeat_a_publish_and_a_newer_lease_keep_a_slot_from_being_evicted(full):
    idle_for(full, "preview-1", 30)
    idle_for(full, "preview-2", 30)
    found = dict(full.leases.idle(600))
    one, two = full.slots.by_number(1), full.slots.by_number(2)
    assert set(found) == {one, two}
    full.leases.heartbeat(one, "a")
    full.sql("UPDATE slots SET reset_fence = fence")
    full.publishes.queue("b", "/repo", "main")
    assert idle_slots(full) == []
    assert full.leases.evict(one, found[one], 600) is None
    assert full.leases.evict(two, found[two], 600) is None
    assert full.leases.evict(one, found[one] - 1, 0) is None


def test_a_publish_that_has_ended_counts_from_its_end(full):
    idle_for(full, "preview-2", 30)
    full.sql("UPDATE slots SET reset_fence = fence")
    full.publishes.queue("b", "/repo", "main")
    full.publishes.finish_ready(full.publishes.claim())
    assert idle_slots(full) == []
    full.sql("UPDATE publishes SET queued_at = queued_at - interval '1 hour',"
             " finished_at = finished_at - interval '1 hour'")  # fmt: skip
    assert idle_slots(full) == ["preview-2"]
