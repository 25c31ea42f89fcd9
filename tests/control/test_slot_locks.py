"""A locked slot is given to nobody, costs nobody a lease, and is counted nowhere as free."""

import threading

import pytest

from ouroboros.adapters.control.slot_locks import SlotLocks
from ouroboros.domain.errors import BadInput
from ouroboros.services.leasing.lock import Locker


@pytest.fixture
def locks(control_plane):
    return SlotLocks(control_plane.pool, "local")


def state(control_plane, number=1):
    return control_plane.reader.all()[number - 1]["state"]


def test_nobody_is_given_a_locked_slot_until_it_is_unlocked(control_plane, locks):
    first = control_plane.slots.by_number(1)
    assert locks.lock(first, "disk is being changed", "ada")
    document = control_plane.reader.all()[0]
    assert (document["state"], document["locked_by"]) == ("locked", "ada")
    assert document["locked_reason"] == "disk is being changed"
    assert [control_plane.take(run).lease.slot.number for run in ("a", "b")] == [2, 3]
    assert control_plane.take("c") is None
    assert locks.unlock(first, "ada")
    control_plane.leases.turn()
    assert control_plane.leases.claim("c").lease.slot == first
    kinds = [row["kind"] for row in control_plane.sql("SELECT kind FROM events ORDER BY id")]
    assert kinds[0] == "slot.locked" and "slot.unlocked" in kinds


def test_who_holds_a_slot_keeps_it_and_is_the_last(control_plane, locks):
    held = control_plane.take("a").lease
    assert locks.lock(held.slot, "to be emptied", "ada")
    assert state(control_plane) == "leased"
    assert control_plane.leases.heartbeat(held.slot, "a").fence == held.fence
    control_plane.leases.release(held.slot, "a")
    assert state(control_plane) == "locked"
    assert control_plane.take("b").lease.slot.number == 2


def test_the_queue_expects_nothing_of_a_locked_slot(control_plane, locks):
    for run in "abc":
        control_plane.take(run)
    for number in (1, 2, 3):
        locks.lock(control_plane.slots.by_number(number), "all out", "ada")
    control_plane.leases.enqueue("d", "main")
    assert control_plane.reader.queue()[0]["estimated_at"] is None
    locks.unlock(control_plane.slots.by_number(3), "ada")
    assert control_plane.reader.queue()[0]["estimated_at"] is not None


def test_an_idle_lease_is_not_ended_for_a_slot_that_nobody_would_get(control_plane, locks):
    held, _, _ = (control_plane.take(run).lease for run in "abc")
    control_plane.leases.enqueue("d", "main")
    control_plane.sql("UPDATE slots SET leased_at = now() - interval '1 day', heartbeat_at = NULL")
    assert [slot.number for slot, _ in control_plane.leases.idle(60)] == [1, 2, 3]
    locks.lock(held.slot, "mine", "ada")
    assert [slot.number for slot, _ in control_plane.leases.idle(60)] == [2, 3]
    assert control_plane.leases.evict(held.slot, held.fence, 60) is None


def test_locking_again_changes_the_reason_and_not_the_time(control_plane, locks):
    first = control_plane.slots.by_number(1)
    assert locks.lock(first, "one", "ada")
    since = control_plane.reader.all()[0]["locked_at"]
    assert not locks.lock(first, "one", "ben")
    assert locks.lock(first, "two", "ben")
    document = control_plane.reader.all()[0]
    assert (document["locked_at"], document["locked_by"]) == (since, "ben")
    assert locks.unlock(first, "ada") and not locks.unlock(first, "ada")


def test_a_lock_and_a_grant_at_once_leave_either_a_holder_or_a_locked_slot(control_plane, locks):
    for number in (2, 3):
        locks.lock(control_plane.slots.by_number(number), "not these", "ada")
    first = control_plane.slots.by_number(1)
    for attempt in range(30):
        taker = threading.Thread(target=control_plane.take, args=(f"run-{attempt}",))
        taker.start()
        locks.lock(first, "now", "ada")
        taker.join()
        document = control_plane.reader.all()[0]
        control_plane.leases.turn()
        assert control_plane.reader.all()[0]["run_id"] == document["run_id"], "granted when locked"
        if document["run_id"]:
            control_plane.leases.release(first, document["run_id"])
        control_plane.leases.leave_queue(f"run-{attempt}")
        locks.unlock(first, "ada")


@pytest.mark.parametrize("reason", ["", "  ", "x" * 201, "two\nlines", "nul\0"])
def test_a_reason_is_one_line_for_people(control_plane, locks, reason):
    with pytest.raises(BadInput) as raised:
        Locker(locks, None).lock(control_plane.slots.by_number(1), reason, "ada")
    assert raised.value.code == "invalid_reason"
    assert state(control_plane) == "free"
