"""A step of PostgreSQL's clock ends no lease and prolongs none; nor does a time of standstill.

The clock itself is left alone: whoever looked last is written an hour away, which is what a step
of an hour looks like to everybody who compares with it.
"""

from datetime import datetime, timedelta

import pytest

from ouroboros.domain.errors import Refused

FORWARD, BACK = 60, -60
"""Minutes by which the clock was put on or back since the last look."""


def step_clock(control_plane, minutes: int) -> None:
    """All that was written before the step lies so much further back."""
    control_plane.sql(
        "UPDATE hosts SET looked_at = looked_at - make_interval(mins => %(minutes)s)",
        minutes=minutes,
    )
    control_plane.sql(
        "UPDATE slots SET expires_at = expires_at - make_interval(mins => %(minutes)s),"
        " leased_at = leased_at - make_interval(mins => %(minutes)s),"
        " heartbeat_at = heartbeat_at - make_interval(mins => %(minutes)s)",
        minutes=minutes,
    )


def remaining(control_plane) -> timedelta:
    row = control_plane.sql(
        "SELECT expires_at - clock_timestamp() AS left FROM slots WHERE slot_id = 'preview-1'"
    )
    return row[0]["left"]


@pytest.mark.parametrize("minutes", [FORWARD, BACK])
def test_a_lease_keeps_its_remaining_time(control_plane, minutes):
    control_plane.take("a")
    before = remaining(control_plane)
    step_clock(control_plane, minutes)
    assert control_plane.leases.turn() == []
    assert abs(remaining(control_plane) - before) < timedelta(seconds=30)
    assert control_plane.leases.claim("a") is not None


@pytest.mark.parametrize("minutes", [FORWARD, BACK])
def test_a_heartbeat_and_a_write_before_the_next_look_are_not_refused(control_plane, minutes):
    lease = control_plane.take("a").lease
    step_clock(control_plane, minutes)
    with control_plane.leases.under_fence(lease.slot, lease.fence):
        pass
    control_plane.leases.heartbeat(lease.slot, "a")
    control_plane.leases.turn()
    assert timedelta(minutes=29) < remaining(control_plane) < timedelta(minutes=31)


@pytest.mark.parametrize("minutes", [FORWARD, BACK])
def test_a_lease_that_was_overdue_before_the_step_is_so_after_it(control_plane, minutes):
    lease = control_plane.take("a").lease
    control_plane.let_expire(lease.slot.id)
    step_clock(control_plane, minutes)
    with pytest.raises(Refused):
        control_plane.leases.heartbeat(lease.slot, "a")
    assert [ended.run_id for ended in control_plane.leases.turn()] == ["a"]


def test_a_bridged_gap_is_told_once(control_plane):
    control_plane.take("a")
    step_clock(control_plane, FORWARD)
    control_plane.leases.turn()
    control_plane.leases.turn()
    told = control_plane.sql("SELECT details FROM events WHERE kind = 'lease.time_bridged'")
    assert len(told) == 1
    assert 3590 < told[0]["details"]["gap_s"] < 3660


def test_a_publish_goes_on_over_a_step(control_plane):
    lease = control_plane.take("a").lease
    control_plane.leases.mark_reset(lease)
    step_clock(control_plane, FORWARD)
    control_plane.publishes.queue("a", "/repo", "main")
    publish = control_plane.publishes.claim()
    control_plane.publishes.keep_alive(publish, 1800)
    control_plane.publishes.begin_step(publish, "source", 1)
    control_plane.leases.turn()
    control_plane.publishes.finish_ready(publish)


def test_what_was_held_is_counted_without_the_gap(control_plane):
    lease = control_plane.take("a").lease
    step_clock(control_plane, FORWARD)
    control_plane.leases.turn()
    control_plane.leases.release(lease.slot, "a")
    row = control_plane.sql("SELECT details FROM events WHERE kind = 'lease.released'")[0]
    assert row["details"]["held_s"] < 60
    assert isinstance(lease.leased_at, datetime)
