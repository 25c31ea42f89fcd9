"""Our own PostgreSQL starts anywhere, trusts nobody, and survives being killed."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest
from tests.postgres import PlainRunner, running_cluster

from ouroboros.adapters.cluster.binaries import find_binaries
from ouroboros.adapters.cluster.embedded import initialise, plan_server, stop_leftover
from ouroboros.adapters.cluster.prepare import prepare_cluster
from ouroboros.domain.errors import NotFound, Refused
from ouroboros.settings import read_settings

ROOT = os.geteuid() == 0


def test_the_control_database_is_migrated_and_empty(control_dsn):
    with psycopg.connect(control_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM preview_db_resets").fetchone() == (0,)


def test_no_role_logs_in_without_its_password(cluster):
    for role in ("ouroboros_root", "ouroboros_admin", "app_preview_1", "postgres"):
        with pytest.raises(psycopg.OperationalError) as refused:
            psycopg.connect(
                host=cluster.access.host, dbname="postgres", user=role, password="guess"
            )
        assert "password authentication failed" in str(refused.value) or "rejects" in str(
            refused.value
        )


def test_a_slot_role_enters_no_database_but_one_of_its_own_name(cluster):
    password = cluster.access.password("app_preview_1")
    for name in ("postgres", "template1", "ouroboros_control", "app_preview_2"):
        with pytest.raises(psycopg.OperationalError, match="rejects connection"):
            psycopg.connect(
                host=cluster.access.host, dbname=name, user="app_preview_1", password=password
            )


def test_there_is_no_tcp_port_and_passwords_are_private(cluster):
    with cluster.superuser() as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    secrets = cluster.settings.secrets_dir
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o600}


def test_preparing_twice_changes_no_password(cluster):
    before = cluster.access.admin_dsn()
    prepare_cluster(cluster.server, cluster.settings.pool)
    assert cluster.access.admin_dsn() == before
    with cluster.admin() as connection:
        assert (
            connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = user").fetchone()[0]
            is False
        )


def test_a_killed_server_leaves_no_process_and_starts_again():
    with running_cluster(durable=True) as killed:
        with killed.admin() as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
        killed.kill()
        stop_leftover(killed.server)
        killed.start()
        with killed.admin() as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (1,)


def test_a_live_leftover_is_found_and_stopped():
    with running_cluster() as left:
        assert left.process.pid in stop_leftover(left.server)
        assert left.process.wait(10) == 0
        assert stop_leftover(left.server) == []


@pytest.mark.skipif(not ROOT, reason="only root can hide a directory from the postgres user")
def test_as_root_a_state_directory_in_a_private_directory_works():
    private = Path(tempfile.mkdtemp(prefix="obp", dir="/tmp"))  # mode 0700, owned by root
    try:
        with running_cluster({"OUROBOROS_STATE_DIR": str(private / "a b" / "s")}) as hidden:
            assert private.stat().st_mode & 0o777 == 0o700
            with hidden.admin() as connection:
                connection.execute("CREATE TABLE works (n int)")
    finally:
        shutil.rmtree(private, ignore_errors=True)


@pytest.mark.skipif(not ROOT, reason="only root can become another user")
def test_an_ordinary_user_runs_it_too():
    nobody = pwd.getpwnam("nobody")
    home = Path(tempfile.mkdtemp(prefix="obn", dir="/tmp"))
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    script = (
        "from tests.postgres import running_cluster\n"
        "import os, sys\n"
        "with running_cluster() as c:\n"
        "    assert c.server.os_user is None\n"
        "    with c.admin() as k: print(k.execute('select 1').fetchone()[0], os.geteuid())\n"
    )
    try:
        done = subprocess.run(
            [
                "setpriv",
                f"--reuid={nobody.pw_uid}",
                f"--regid={nobody.pw_gid}",
                "--clear-groups",
                "--inh-caps=+dac_read_search",
                "--ambient-caps=+dac_read_search",
                sys.executable,
                "-c",
                script,
            ],
            cwd=Path(__file__).parents[2],
            env={
                "HOME": str(home),
                "PATH": os.environ["PATH"],
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.stdout.split() == ["1", str(nobody.pw_uid)], done.stderr
    finally:
        shutil.rmtree(home, ignore_errors=True)


def test_a_long_state_directory_gets_a_short_socket_directory_of_ours():
    deep = Path(tempfile.mkdtemp(prefix="obl", dir="/tmp")) / ("d" * 90)
    settings = read_settings({"OUROBOROS_STATE_DIR": str(deep)})
    server = plan_server(settings)
    assert len(str(server.socket_dir)) < 60
    try:
        server.socket_dir.symlink_to("/tmp")
        with pytest.raises(Refused) as refused:
            initialise(server, PlainRunner())
        assert refused.value.code == "socket_dir_unsafe"
    finally:
        server.socket_dir.unlink()
        shutil.rmtree(deep.parent)


def test_programs_are_looked_for_in_order(tmp_path):
    with pytest.raises(NotFound) as missing:
        find_binaries(tmp_path)
    assert missing.value.code == "postgres_not_found"
    for version in ("9.6", "15", "16"):
        directory = tmp_path / version / "bin"
        directory.mkdir(parents=True)
        for program in ("postgres", "initdb", "psql", "pg_dump", "pg_restore"):
            (directory / program).touch()
    (tmp_path / "16" / "bin" / "psql").unlink()
    assert find_binaries(None, debian_root=tmp_path) == tmp_path / "15" / "bin"
