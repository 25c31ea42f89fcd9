"""What clients, disks and other processes do to a reset does not reach the slot's state."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psycopg
import pytest
from tests.databases.conftest import make_world, seed
from tests.postgres import end, fresh_control_database, make_control_template, running_cluster

from ouroboros.domain.errors import Failed, PreviewError, Refused
from ouroboros.domain.failpoint import armed
from ouroboros.domain.reset import ResetPath

ROOT = os.geteuid() == 0


def test_a_frozen_client_does_not_stop_a_reset(world):
    world.reset(world.slot, seed("v1"))
    script = (
        "import psycopg, sys, signal, os\n"
        "c = psycopg.connect(sys.argv[1])\n"
        "c.execute('LOCK TABLE tools'); print('ready', flush=True)\n"
        "os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    url = world.databases.url(world.slot).text()
    client = subprocess.Popen([sys.executable, "-c", script, url], stdout=subprocess.PIPE)
    try:
        assert client.stdout.readline() == b"ready\n"
        os.waitid(os.P_PID, client.pid, os.WSTOPPED)
        report = world.reset(world.slot, seed("v1"))
        assert report.details["sessions_ended"] == 1
        assert report.duration_ms < 20_000
    finally:
        client.stdout.close()
        client.send_signal(signal.SIGCONT)
        end(client)


def test_a_reset_while_a_clone_of_the_same_template_is_made(world):
    first, second, _ = world.settings.pool
    world.reset(first, seed("v1"))
    world.settle()
    with world.cluster.admin() as connection:
        connection.execute("DROP DATABASE app_preview_2__next")
    reports = []

    def meanwhile(_: str) -> None:
        if not reports:
            reports.append(world.reset(first, seed("v1")))

    with armed("standby.cloned", meanwhile):
        world.reset(second, seed("v1"))
    assert reports[0].path is ResetPath.SWAP


def test_a_template_somebody_is_connected_to_fails_clearly_and_the_slot_keeps_its_state(world):
    report = world.reset(world.slot, seed("v1"))
    template = report.details["template"]
    with world.cluster.superuser() as connection:
        connection.execute(f"ALTER DATABASE {template} ALLOW_CONNECTIONS true")
    with world.cluster.superuser(template), pytest.raises(Refused) as refused:
        world.reset(world.slot, seed("v1"))
    assert refused.value.code == "database_busy"
    assert template in refused.value.message
    assert world.query(world.slot, "SELECT count(*) FROM tools") == [(3,)]
    assert world.reset(world.slot, seed("v1")).path is ResetPath.CLONE


def test_a_superuser_in_a_slots_database_is_told_of_and_the_slot_opens_again(world):
    world.reset(world.slot, seed("v1"))
    with world.cluster.superuser("app_preview_1"), pytest.raises(Refused) as refused:
        world.reset(world.slot, seed("v2"))
    assert refused.value.code == "sessions_remain"
    assert world.query(world.slot, "SELECT count(*) FROM tools") == [(3,)]
    assert world.rows()[-1]["details"]["error"] == "sessions_remain"


def test_a_reset_waits_for_a_standby_that_is_being_made_and_uses_it(world):
    world.databases.recover()
    world.reset(world.slot, seed("v1"))
    started, go_on = threading.Event(), threading.Event()

    def hold(_: str) -> None:
        if threading.current_thread() is not threading.main_thread():
            started.set()
            go_on.wait(20)

    with armed("standby.cloned", hold):
        worker = threading.Thread(target=world.settle)
        worker.start()
        assert started.wait(20)
        threading.Timer(0.2, go_on.set).start()
        report = world.reset(world.slot, seed("v1"))
        worker.join(20)
    assert report.path is ResetPath.SWAP


def test_a_session_without_its_slot_cannot_hold_the_slots_lock_for_ever(world):
    world.reset(world.slot, seed("v1"))
    with psycopg.connect(world.control_dsn, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s, %s)", [0x0B0B_0010, 1])
        with armed("reset.begun", lambda _: None):
            import ouroboros.services.databases.reset as use_case

            before, use_case._SLOT_WAIT_S = use_case._SLOT_WAIT_S, 0.05
            try:
                with pytest.raises(Refused) as refused:
                    world.reset(world.slot, seed("v1"))
            finally:
                use_case._SLOT_WAIT_S = before
    assert refused.value.code == "slot_databases_busy"
    assert len(world.rows()) == 1  # nothing was begun


def test_a_reset_that_builds_for_long_is_not_taken_for_one_that_died(world):
    world.drop_everything()
    world.databases.recover()
    worker = make_world(world.cluster, world.control_dsn, world.settings.seeds_dir.parent)
    try:
        with armed("build.loaded", lambda _: worker.settle()):
            report = world.reset(world.slot, seed("v1"))
    finally:
        worker.control.close()
    assert world.row(report.reset_id)["reset_status"] == "completed"


def mount_small_disk(size: str) -> Path | None:
    """A file system of its own, or None with the reason printed."""
    place = Path(tempfile.mkdtemp(prefix="obd", dir="/tmp"))
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        place.chmod(0o755)
        return place
    print(f"no small disk: {done.stderr.strip()}")
    place.rmdir()
    return None


@pytest.mark.skipif(not ROOT, reason="only root can mount a small disk")
def test_a_full_disk_leaves_the_slot_working_and_says_what_and_where(tmp_path):
    place = mount_small_disk("260m")
    if place is None:
        pytest.skip("this machine lets nobody mount a file system")
    try:
        with running_cluster({"OUROBOROS_STATE_DIR": str(place / "s")}) as cluster:
            make_control_template(cluster)
            with fresh_control_database(cluster) as dsn:
                world = make_world(cluster, dsn, tmp_path)
                try:
                    fill_disk_and_look(world, place)
                finally:
                    world.control.close()
    finally:
        subprocess.run(["umount", str(place)], check=False)
        shutil.rmtree(place, ignore_errors=True)


def fill_disk_and_look(world, place: Path) -> None:
    world.reset(world.slot, seed("v1"))
    world.settle()
    world.reset(world.slot, seed("v1"))
    ballast = place / "ballast"
    free = shutil.disk_usage(place).free
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - (40 << 20))
    with pytest.raises(Failed) as full:
        for _ in range(4):
            world.databases.maintain()
    assert full.value.code == "disk_full"
    assert str(place) in full.value.message
    assert world.query(world.slot, "SELECT count(*) FROM tools") == [(3,)]
    with world.as_slot(world.slot) as connection:
        connection.execute("INSERT INTO tools (name) VALUES ('rake')")
    assert world.databases.pool()["failures"][0]["error"] == "disk_full"
    with pytest.raises(PreviewError) as refused:
        world.reset(world.slot, seed("v1"))
    assert refused.value.code == "disk_full"
    assert world.query(world.slot, "SELECT count(*) FROM tools") == [(4,)]
    ballast.unlink()
    assert world.reset(world.slot, seed("v1")).path is ResetPath.CLONE


def test_a_template_that_nothing_uses_is_collected_after_its_grace_time_and_no_other(world):
    from tests.databases.test_crashes import age_template

    world.reset(world.slot, seed("v2"))
    world.reset(world.slot, seed("v1"))
    world.settle()
    for version in ("v1", "v2"):
        age_template(world, version)
    world.settle()
    left = {each["source"]["version"] for each in world.databases.pool()["templates"]}
    assert left - {None} == {"v1"}  # in use by slot 1 and the standbys
    assert world.reset(world.slot, seed("v2")).path is ResetPath.BUILD


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_thousand_resets_are_a_thousand_equal_states(world):
    thousand_resets(world, 1000)


def test_resets_with_writes_between_are_equal_states(world):
    thousand_resets(world, 12)


def thousand_resets(world, count: int) -> None:
    """Resets over three slots with random writes between; everything is compared."""
    import random

    chance = random.Random(1)
    fingerprints = set()
    slots = list(world.settings.pool)
    entered = 0
    for number in range(count):
        slot = slots[number % 3]
        report = world.reset(slot, seed("v1"))
        found = world.databases.verify(slot)
        assert found["matches"], found
        fingerprints.add(found["fingerprint"])
        other = slots[(number + 1) % 3]
        url = world.databases.url(slot)
        try:
            psycopg.connect(
                host=url.host, user=url.user, password=url.password, dbname=other.database.name
            ).close()
            entered += 1
        except psycopg.OperationalError:
            pass
        with world.as_slot(slot) as connection:
            connection.execute("INSERT INTO tools (name) VALUES (%s)", [str(chance.random())])
            connection.execute("UPDATE tools SET name = %s WHERE id = 1", [str(number)])
            if chance.random() < 0.3:
                connection.execute(f"CREATE TABLE t{number} (n int)")
            if chance.random() < 0.3:
                connection.execute("SET ROLE NONE")
                connection.execute(f"ALTER ROLE {slot.database.role} SET work_mem = '1MB'")
        if number % 3 == 2:
            world.settle()
    for slot in slots:
        world.reset(slot, seed("v1"))
    world.settle()
    assert len(fingerprints) == 1 and entered == 0
    assert {name for name in world.ours() if not name.startswith("ouroboros_tpl")} == {
        f"app_preview_{n}{suffix}" for n in (1, 2, 3) for suffix in ("", "__next")
    }
    with world.cluster.superuser() as connection:
        (settings,) = connection.execute(
            "SELECT count(*) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole"
            " WHERE r.rolname LIKE 'app_preview%' AND s.setconfig::text LIKE '%work_mem%'"
        ).fetchone()
    assert settings == 0
    print(f"resets={count} fingerprints={len(fingerprints)} leftovers=0 cross_slot_entries=0"
          f" last_path={report.path}")  # fmt: skip
