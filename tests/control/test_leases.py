"""Leases: one holder a slot, in order, with a fence that only rises."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import psycopg
import pytest

from ouroboros.adapters.control.lease_sql import GRANT, TURNSTILE
from ouroboros.domain.errors import Refused
from ouroboros.domain.slot import make_pool
from ouroboros.services.leasing.keep import Keeper


def test_three_runs_get_three_slots_and_the_fourth_waits(control_plane):
    held = [control_plane.take(run).lease.slot.id for run in ("a", "b", "c")]
    assert held == ["preview-1", "preview-2", "preview-3"]
    assert control_plane.take("d") is None
    waiting = control_plane.leases.waiting("d")
    assert waiting.position == 1
    assert [h.run_id for h in waiting.holders] == ["a", "b", "c"]


def test_a_run_that_holds_a_slot_gets_the_same_one(control_plane):
    first, second = control_plane.take("a"), control_plane.take("a")
    assert first.lease.slot == second.lease.slot
    assert first.lease.fence == second.lease.fence
    assert len([s for s in control_plane.reader.all() if s["run_id"]]) == 1


def test_runs_are_served_in_order_within_a_priority(control_plane):
    for run in ("a", "b", "c"):
        control_plane.take(run)
    for run, priority in (("late", 0), ("later", 0), ("urgent", 5)):
        control_plane.leases.enqueue(run, "main", priority)
    assert [control_plane.leases.waiting(r).position for r in ("urgent", "late", "later")] == [
        1, 2, 3,
    ]  # fmt: skip
    served = []
    for slot in control_plane.slots:
        holder = control_plane.reader.get(slot)["run_id"]
        control_plane.leases.release(slot, holder)
        served.append(control_plane.reader.get(slot)["run_id"])
    assert served == ["urgent", "late", "later"]


def test_a_released_lease_cannot_be_released_again(control_plane):
    lease = control_plane.take("a").lease
    control_plane.leases.release(lease.slot, "a")
    with pytest.raises(Refused) as refused:
        control_plane.leases.release(lease.slot, "a")
    assert refused.value.code == "lease_lost"


def test_a_lease_is_not_ended_under_the_fence_of_an_earlier_one(control_plane):
    earlier = control_plane.take("a").lease
    control_plane.leases.release(earlier.slot, "a")
    lease = control_plane.take("a").lease
    assert lease.slot == earlier.slot
    with pytest.raises(Refused) as refused:
        control_plane.leases.release(lease.slot, "a", fence=earlier.fence)
    assert refused.value.code == "lease_lost"
    assert control_plane.reader.holder(lease.slot) == ("a", lease.fence)
    control_plane.leases.release(lease.slot, "a", fence=lease.fence)


def test_a_run_that_waits_again_cannot_release_what_it_held_before(control_plane):
    lease = control_plane.take("a").lease
    control_plane.leases.release(lease.slot, "a")
    for run in ("b", "c", "d"):
        control_plane.take(run)
    assert control_plane.take("a") is None
    with pytest.raises(Refused) as refused:
        control_plane.leases.release(lease.slot, "a")
    assert refused.value.code == "lease_lost"
    assert control_plane.leases.waiting("a").position == 1


def test_a_heartbeat_on_an_expired_lease_is_refused_before_anyone_reaped_it(control_plane):
    lease = control_plane.take("a").lease
    control_plane.let_expire(lease.slot.id)
    with pytest.raises(Refused) as refused:
        control_plane.leases.heartbeat(lease.slot, "a")
    assert refused.value.details["reason"] == "expired"


def test_a_heartbeat_by_another_run_is_refused(control_plane):
    lease = control_plane.take("a").lease
    with pytest.raises(Refused) as refused:
        control_plane.leases.heartbeat(lease.slot, "b")
    assert refused.value.details == {
        "slot_id": "preview-1",
        "run_id": "b",
        "reason": "leased_by_another_run",
        "heartbeat_updated": False,
    }


def test_a_heartbeat_that_waited_for_the_row_does_not_renew_an_expired_lease(control_plane):
    """`now()` is the transaction's start and would renew it; `clock_timestamp()` does not."""
    lease = control_plane.take("a").lease
    refused: list[str] = []

    def beat() -> None:
        try:
            control_plane.leases.heartbeat(lease.slot, "a")
        except Refused as error:
            refused.append(error.code)

    with psycopg.connect(control_plane.dsn) as holding:
        holding.execute("SELECT 1 FROM slots WHERE slot_id = 'preview-1' FOR UPDATE")
        thread = threading.Thread(target=beat)
        thread.start()
        while not control_plane.sql(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
            "current_database()"
        ):
            pass
        holding.execute(
            "UPDATE slots SET expires_at = clock_timestamp() WHERE slot_id = 'preview-1'"
        )
        holding.commit()
    thread.join(10)
    assert refused == ["lease_lost"]


def test_an_expired_lease_goes_to_the_next_run_with_a_higher_fence(control_plane):
    lease = control_plane.take("a").lease
    control_plane.let_expire(lease.slot.id)
    taken = control_plane.take("b").lease
    assert taken.slot == lease.slot
    assert taken.fence == lease.fence + 1
    assert control_plane.leases.claim("a") is None


def test_nothing_can_be_done_under_an_old_fence(control_plane):
    lease = control_plane.take("a").lease
    control_plane.leases.release(lease.slot, "a")
    control_plane.take("b")
    with (
        pytest.raises(Refused) as refused,
        control_plane.leases.under_fence(lease.slot, lease.fence),
    ):
        pytest.fail("the block was entered under a stale fence")
    assert refused.value.code == "stale_fence"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE slots SET fence = fence - 1 WHERE slot_id = 'preview-1'",
        "DELETE FROM slots WHERE slot_id = 'preview-1'",
        "UPDATE slots SET run_id = 'b' WHERE slot_id = 'preview-1'",
        "UPDATE slots SET lease_state = 'leased' WHERE slot_id = 'preview-2'",
        "UPDATE slots SET lease_state = 'leased', run_id = 'a', expires_at = now(),"
        " leased_at = now(), fence = fence + 1 WHERE slot_id = 'preview-2'",
        "UPDATE slots SET slot_id = 'preview-9' WHERE slot_id = 'preview-1'",
        "UPDATE events SET kind = 'x'",
        "DELETE FROM events",
        "TRUNCATE events",
    ],
)
def test_postgresql_itself_refuses_what_must_never_be(control_plane, statement):
    control_plane.take("a")
    control_plane.leases.enqueue("b", "main")
    with pytest.raises(psycopg.errors.IntegrityError):
        control_plane.sql(statement)


def test_a_slot_that_leaves_the_configuration_is_not_leased_but_keeps_its_fence(control_plane):
    control_plane.take("a")
    smaller = make_pool("preview-2,preview-3")
    type(control_plane.leases)(
        control_plane.pool, smaller, ttl_s=60, claim_ttl_s=60, host="local"
    ).register()
    row = control_plane.sql("SELECT in_pool, fence FROM slots WHERE slot_id = 'preview-1'")[0]
    assert row == {"in_pool": False, "fence": 1}
    assert control_plane.take("b").lease.slot.id == "preview-2"


def test_a_retired_host_holds_no_lease_until_it_registers_again(control_plane):
    lease = control_plane.take("a").lease
    for run in ("b", "c", "waits"):
        control_plane.take(run)
    assert control_plane.leases.retire() == 3
    assert control_plane.leases.retire() == 0
    with pytest.raises(Refused, match="lease_lost"):
        control_plane.leases.heartbeat(lease.slot, "a")
    control_plane.leases.turn()
    assert control_plane.leases.claim("waits") is None
    control_plane.leases.register()
    control_plane.leases.turn()
    assert control_plane.leases.claim("waits").lease.fence == lease.fence + 1


def test_sixty_threads_allocating_and_releasing_never_share_a_slot(control_plane):
    holders: dict[str, str] = {}
    shared: list[str] = []
    fences: dict[str, list[int]] = {slot.id: [] for slot in control_plane.slots}
    lock = threading.Lock()

    def live(number: int) -> None:
        run = f"run-{number}"
        control_plane.leases.enqueue(run, "main")
        while (claim := control_plane.leases.claim(run)) is None:
            control_plane.leases.turn()
        slot = claim.lease.slot
        with lock:
            if slot.id in holders:
                shared.append(f"{slot.id}: {holders[slot.id]} and {run}")
            holders[slot.id] = run
            fences[slot.id].append(claim.lease.fence)
        with lock:
            del holders[slot.id]
        control_plane.leases.release(slot, run)

    with ThreadPoolExecutor(20) as threads:
        list(threads.map(live, range(60)))
    assert shared == []
    for seen in fences.values():
        assert seen == sorted(set(seen))
    assert sum(len(seen) for seen in fences.values()) == 60


def test_a_release_that_was_asked_for_twice_ends_no_later_lease_of_its_run(control_plane):
    """Both look before either ends the lease, and the run is given a slot again in between."""
    lease = control_plane.take("a").lease
    publishes = SimpleNamespace(cancel_all=lambda _: release_and_take_again() and False)

    def release_and_take_again() -> bool:
        control_plane.leases.release(lease.slot, "a")
        return control_plane.take("a") is not None

    keeper = Keeper(control_plane.leases, publishes, SimpleNamespace(), SimpleNamespace())
    with pytest.raises(Refused) as refused:
        keeper.release(lease.slot, "a")
    assert refused.value.code == "lease_lost"
    assert control_plane.reader.holder(lease.slot) == ("a", lease.fence + 1)


def test_the_publishes_of_one_lease_end_and_none_of_the_next(control_plane):
    earlier = control_plane.take("a").lease
    control_plane.leases.release(earlier.slot, "a")
    lease = control_plane.take("a").lease
    control_plane.leases.mark_reset(lease)
    publish_id = control_plane.publishes.queue("a", "/repo", "main")
    assert not control_plane.publishes.cancel_all(earlier)
    assert control_plane.publishes.get(publish_id)["state"] == "queued"
    control_plane.publishes.cancel_all(lease)
    assert control_plane.publishes.get(publish_id)["state"] == "cancelled"


def test_who_leaves_the_queue_waits_for_a_grant_that_has_begun(control_plane):
    """Else a slot may be given to a run that has just been told that it waits no more."""
    control_plane.leases.enqueue("a", "main")
    with ThreadPoolExecutor() as others, psycopg.connect(control_plane.dsn) as granting:
        granting.execute(TURNSTILE, {"host": "local"})
        leaving = others.submit(control_plane.leases.leave_queue, "a")
        with pytest.raises(TimeoutError):
            leaving.result(0.3)
        granting.execute(GRANT, {"host": "local", "claim_ttl_s": 300})
        granting.commit()
        assert leaving.result(10) is False
    assert control_plane.leases.claim("a") is not None
