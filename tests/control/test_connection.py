"""A session that PostgreSQL ended is an outage to whoever used it, and not an unknown failure."""

import time

import pytest

from ouroboros.adapters.control.connection import control, transaction
from ouroboros.domain.errors import Unhealthy


def test_a_process_that_was_stopped_within_a_transaction_is_told_of_an_outage(control_plane):
    """PostgreSQL ends a transaction that idles, so that a frozen process blocks nobody for long."""
    with pytest.raises(Unhealthy) as told, transaction(control_plane.pool) as db:
        db.execute("SET LOCAL idle_in_transaction_session_timeout = '50ms'")
        pid = db.info.backend_pid
        while control_plane.sql("SELECT 1 FROM pg_stat_activity WHERE pid = %(pid)s", pid=pid):
            time.sleep(0.01)
        db.execute("SELECT 1")
    assert told.value.code == "control_plane_unreachable"


def test_a_connection_that_postgresql_has_closed_is_not_handed_out_again(control_plane):
    with control(control_plane.pool) as db:
        db.execute("SELECT 1")
    ended = control_plane.sql(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'test'"
    )
    assert ended
    with control(control_plane.pool) as db:
        assert db.execute("SELECT 1 AS one").fetchone() == {"one": 1}


def test_an_idle_transaction_ends_before_those_who_wait_for_its_locks_give_up(control_plane):
    with transaction(control_plane.pool) as db:
        limits = {
            row["name"]: int(row["setting"])
            for row in db.execute("SELECT name, setting FROM pg_settings WHERE unit = 'ms'")
        }
    assert 0 < limits["idle_in_transaction_session_timeout"] < limits["lock_timeout"]
