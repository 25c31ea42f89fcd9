"""A reset brings a slot's database to exactly what a version says, or changes nothing."""

import threading

import psycopg
import pytest
from tests.databases.conftest import V1, seed

from ouroboros.domain.errors import Failed, NotFound, PreviewError, Refused
from ouroboros.domain.failpoint import armed
from ouroboros.domain.reset import EMPTY, ResetPath


def test_recovery_gives_every_slot_an_empty_database(world):
    assert len(world.databases.recover()) == 3
    for slot in world.settings.pool:
        assert world.query(slot, "SELECT current_database()::text") == [(slot.database.name,)]
        assert world.query(
            slot, "SELECT count(*) FROM pg_class WHERE relnamespace='public'::regnamespace"
        ) == [(0,)]
    assert world.databases.recover() == []


def test_the_first_reset_builds_the_next_clones_and_one_with_a_standby_swaps(world):
    world.drop_everything()
    first = world.reset(world.slot, seed("v1"), run_id="r-1")
    assert first.path is ResetPath.BUILD
    assert world.query(world.slot, "SELECT name FROM tools ORDER BY id") == [
        ("drill",),
        ("ladder",),
        ("saw",),
    ]
    second = world.reset(world.settings.pool.slots[1], seed("v1"))
    assert second.path is ResetPath.CLONE
    assert world.settle() >= 1
    third = world.reset(world.slot, seed("v1"))
    assert third.path is ResetPath.SWAP
    assert first.fingerprint == second.fingerprint == third.fingerprint
    other = world.reset(world.slot, seed("v2"))
    assert other.path is ResetPath.BUILD
    assert other.fingerprint != first.fingerprint


def test_a_row_records_each_attempt_with_its_provenance(world):
    report = world.reset(world.slot, seed("v1"), run_id="run-7")
    row = world.row(report.reset_id)
    assert (row["run_id"], row["slot_id"], row["db_name"], row["strategy"]) == (
        "run-7",
        "preview-1",
        "app_preview_1",
        "seed",
    )
    assert (row["seed_version"], row["snapshot_version"], row["reset_status"]) == (
        "v1",
        None,
        "completed",
    )
    assert row["details"]["fingerprint"] == report.fingerprint
    assert row["reset_completed_at"] >= row["reset_started_at"]


def test_what_a_run_changed_is_gone_after_a_reset(world):
    world.reset(world.slot, seed("v1"))
    with world.as_slot(world.slot) as connection:
        connection.execute("INSERT INTO tools (name) VALUES ('rake')")
        connection.execute("CREATE SCHEMA more; CREATE TABLE more.things (n int)")
        connection.execute("CREATE EXTENSION pg_trgm")
        connection.execute("SELECT lo_create(0)")
    world.reset(world.slot, seed("v1"))
    assert world.query(world.slot, "SELECT count(*), max(id) FROM tools") == [(3, 3)]
    assert world.query(world.slot, "SELECT count(*) FROM pg_namespace WHERE nspname='more'") == [
        (0,)
    ]
    assert world.query(world.slot, "SELECT count(*) FROM pg_largeobject_metadata") == [(0,)]
    with world.as_slot(world.slot) as connection:
        assert connection.execute(
            "INSERT INTO tools (name) VALUES ('x') RETURNING id"
        ).fetchone() == (4,)


def test_a_reset_to_empty_leaves_nothing(world):
    world.reset(world.slot, seed("v1"))
    report = world.reset(world.slot, EMPTY)
    assert world.query(world.slot, "SELECT to_regclass('tools')::text") == [(None,)]
    assert world.row(report.reset_id)["seed_version"] is None


def test_a_missing_version_is_refused_before_anything_is_touched(world):
    world.reset(world.slot, seed("v1"))
    before = world.rows()
    with world.as_slot(world.slot) as connection:
        with pytest.raises(NotFound) as missing:
            world.reset(world.slot, seed("v9"))
        assert missing.value.code == "seed_not_found"
        assert "v1, v2" in missing.value.hint
        assert connection.execute("SELECT 1").fetchone() == (1,)  # nobody was thrown out
    assert world.rows() == before


def test_a_dry_run_tells_what_would_happen(world):
    world.drop_everything()
    told = world.databases.check(seed("v1"))
    assert told["would_build"] and told["fingerprint"] is None
    report = world.reset(world.slot, seed("v1"))
    told = world.databases.check(seed("v1"))
    assert not told["would_build"] and told["fingerprint"] == report.fingerprint
    with pytest.raises(NotFound):
        world.databases.check(seed("nope"))


def test_a_changed_seed_under_an_old_version_is_refused_unless_rebuilt(world):
    first = world.reset(world.slot, seed("v1"))
    world.seed_file("v1", V1.replace("drill", "hammer drill"))
    with pytest.raises(Refused) as refused:
        world.reset(world.slot, seed("v1"))
    assert refused.value.code == "seed_changed"
    rebuilt = world.reset(world.slot, seed("v1"), rebuild=True)
    assert rebuilt.fingerprint != first.fingerprint
    assert world.reset(world.slot, seed("v1")).fingerprint == rebuilt.fingerprint


def test_a_changed_seed_is_refused_also_when_its_template_is_gone(world):
    world.reset(world.slot, seed("v1"))
    world.drop_everything()
    world.seed_file("v1", V1.replace("drill", "hammer drill"))
    with pytest.raises(Refused, match="a version means one state"):
        world.reset(world.slot, seed("v1"))


def test_a_reset_under_a_stale_fence_touches_nothing(world):
    fence = world.lease(world.slot, "run-a")
    world.reset(world.slot, seed("v1"), run_id="run-a", fence=fence)
    world.lease(world.slot, "run-b")
    with world.as_slot(world.slot) as connection:
        with pytest.raises(Refused) as stale:
            world.reset(world.slot, seed("v2"), run_id="run-a", fence=fence)
        assert stale.value.code == "stale_fence"
        assert connection.execute("SELECT count(*) FROM tools").fetchone() == (3,)


def test_a_lease_lost_while_a_reset_prepares_stops_the_swap_and_the_old_state_serves(world):
    fence = world.lease(world.slot, "run-a")
    first = world.reset(world.slot, seed("v1"), run_id="run-a", fence=fence)
    with (
        armed("reset.before_rename", lambda _: world.lease(world.slot, "run-b")),
        pytest.raises(Refused) as stale,
    ):
        world.reset(world.slot, seed("v2"), run_id="run-a", fence=fence)
    assert stale.value.code == "stale_fence"
    assert world.query(world.slot, "SELECT name FROM tools WHERE id = 2") == [("ladder",)]
    failed = world.rows()[-1]
    assert (failed["reset_status"], failed["details"]["error"]) == ("failed", "stale_fence")
    assert first.fingerprint == world.row(first.reset_id)["details"]["fingerprint"]


def test_a_seed_that_fails_half_way_leaves_the_old_state_and_no_database(world):
    world.reset(world.slot, seed("v1"))
    world.seed_file("bad", V1 + "INSERT INTO tools VALUES (1, 'again');\n")
    before = world.ours()
    with pytest.raises(Failed) as failed:
        world.reset(world.slot, seed("bad"))
    assert failed.value.code == "seed_failed"
    assert failed.value.details["line"] == 13
    assert "tools_pkey" in failed.value.message
    assert world.ours() == before
    assert world.query(world.slot, "SELECT count(*) FROM tools") == [(3,)]
    assert world.rows()[-1]["reset_status"] == "failed"


def test_a_client_in_a_transaction_and_one_that_keeps_reconnecting_do_not_stop_a_reset(world):
    world.reset(world.slot, seed("v1"))
    world.settle()
    stop = threading.Event()
    errors: set[str | None] = set()

    def reconnect() -> None:
        while not stop.is_set():
            try:
                with world.as_slot(world.slot, connect_timeout=5) as connection:
                    while not stop.is_set():
                        connection.execute("SELECT count(*) FROM tools")
            except psycopg.OperationalError as error:
                errors.add(error.sqlstate)

    threads = [threading.Thread(target=reconnect) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(6):
            idle = psycopg.connect(world.databases.url(world.slot).text())
            idle.execute("UPDATE tools SET name = 'held'")
            report = world.reset(world.slot, seed("v1" if number % 2 else "v2"))
            assert report.path in (ResetPath.CLONE, ResetPath.SWAP, ResetPath.BUILD)
            with pytest.raises(psycopg.OperationalError):
                idle.execute("SELECT 1")
            idle.close()
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    assert errors <= {"57P01", "3D000", "55000", None}


def test_two_resets_of_one_slot_at_once_both_end_in_a_whole_state(world):
    world.reset(world.slot, seed("v1"))
    world.reset(world.slot, seed("v2"))
    failures = []

    def again(version: str) -> None:
        try:
            for _ in range(4):
                world.reset(world.slot, seed(version))
        except PreviewError as error:
            failures.append(error)

    threads = [threading.Thread(target=again, args=(v,)) for v in ("v1", "v2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert {row["reset_status"] for row in world.rows()} == {"completed"}
    assert world.query(world.slot, "SELECT count(*) FROM tools") == [(3,)]


def test_background_work_drops_what_was_replaced_and_refills_standbys(world):
    world.databases.recover()
    for slot in world.settings.pool:
        world.reset(slot, seed("v1"))
    world.settle()
    names = {name for name in world.ours() if name.startswith("app_")}
    assert names == {f"app_preview_{n}{suffix}" for n in (1, 2, 3) for suffix in ("", "__next")}
    assert world.databases.maintain() is False
