"""`ouroboros doctor` finds what is wrong with the databases, and nothing where nothing is."""

import os
import re
import time
from pathlib import Path

import pytest
from tests.databases.conftest import World, make_world, seed
from tests.postgres import fresh_control_database

from ouroboros.adapters.cluster.access import ClusterAccess
from ouroboros.domain.errors import Failed, Unhealthy
from ouroboros.domain.finding import Finding, Severity
from ouroboros.services.doctor import Doctor
from ouroboros.services.doctor.databases import examine_databases


@pytest.fixture(scope="module")
def world(cluster, tmp_path_factory):
    with fresh_control_database(cluster) as dsn:
        made = make_world(cluster, dsn, tmp_path_factory.mktemp("doctor"))
        made.drop_everything()
        made.databases.recover()
        for slot in made.settings.pool:
            made.reset(slot, seed("v1"))
        made.settle()
        try:
            yield made
        finally:
            made.control.close()


def access_of(world: World) -> ClusterAccess:
    return world.databases._bench.access


def findings(world: World) -> dict[str, Finding]:
    examine = examine_databases(world.control, access_of(world), world.settings)
    return {each.code: each for each in examine() if each.code != "not_durable"}


def test_a_sound_installation_has_no_findings(world):
    assert findings(world) == {}


BREAKAGES = {
    "slot_without_database": (
        "ALTER DATABASE app_preview_1 ALLOW_CONNECTIONS false",
        "ALTER DATABASE app_preview_1 ALLOW_CONNECTIONS true",
    ),
    "clone_left_over": (
        "CREATE DATABASE app_preview_2__mk ALLOW_CONNECTIONS false",
        "DROP DATABASE app_preview_2__mk",
    ),
    "slot_not_configured": ("CREATE DATABASE app_preview_9", "DROP DATABASE app_preview_9"),
    "role_too_strong": (
        "ALTER ROLE app_preview_1 CREATEDB; GRANT pg_read_server_files TO app_preview_1",
        "ALTER ROLE app_preview_1 NOCREATEDB; REVOKE pg_read_server_files FROM app_preview_1",
    ),
    "admin_is_superuser": (
        "ALTER ROLE ouroboros_admin SUPERUSER",
        "ALTER ROLE ouroboros_admin NOSUPERUSER",
    ),
    "admin_lacks_rights": (
        "REVOKE pg_signal_backend FROM ouroboros_admin",
        "GRANT pg_signal_backend TO ouroboros_admin",
    ),
    "standby_missing": ("DROP DATABASE app_preview_3__next", None),
}


@pytest.mark.parametrize("code", BREAKAGES)
def test_what_is_broken_is_found_with_what_mends_it(world, code):
    harm, mend = BREAKAGES[code]
    with world.cluster.superuser() as connection:
        for each in harm.split("; "):
            connection.execute(each)
        try:
            found = findings(world)
        finally:
            for each in (mend or "SELECT 1").split("; "):
                connection.execute(each)
    assert found.keys() - {"slot_not_configured", code} <= {"standby_missing"}, found
    assert found[code].message and found[code].fix
    world.settle()
    assert findings(world) == {}


def test_a_reset_that_nobody_works_on_is_found(world):
    with world.control.connection() as connection:
        connection.execute(
            "INSERT INTO preview_db_resets (slot_id, db_name, strategy, fence)"
            " VALUES ('preview-1', 'app_preview_1', 'seed', 0)"
        )
    assert findings(world).keys() == {"reset_not_settled"}
    world.settle()
    assert findings(world) == {}


def test_a_template_of_a_seed_that_is_not_deterministic_is_found(world):
    world.seed_file("noisy", "CREATE TABLE t (at timestamptz); INSERT INTO t VALUES (now());")
    world.reset(world.slot, seed("noisy"))
    world.settle()
    found = findings(world)["seed_not_deterministic"]
    assert "public.t.at" in found.message
    world.reset(world.slot, seed("v1"))
    world.settle()
    with world.cluster.superuser() as connection:
        rows = connection.execute(
            "SELECT datname FROM pg_database"
            " WHERE shobj_description(oid, 'pg_database') LIKE '%noisy%'"
        ).fetchall()
        for (name,) in rows:
            connection.execute(f"ALTER DATABASE {name} IS_TEMPLATE false")
            connection.execute(f"DROP DATABASE {name}")
    assert findings(world) == {}


def test_files_of_no_database_are_found(world):
    orphan = world.cluster.server.data_dir / "base" / "99999999"
    orphan.mkdir()
    try:
        (orphan / "1").write_bytes(b"\0" * (3 << 20))
        assert findings(world) == {}  # it may be a clone in the making
        an_hour_ago = time.time() - 3600
        os.utime(orphan, (an_hour_ago, an_hour_ago))
        assert "(3 MB)" in findings(world)["files_left_over"].message
    finally:
        (orphan / "1").unlink()
        orphan.rmdir()


def test_an_error_is_an_error_and_what_cannot_be_examined_is_one_too():
    note = Finding("n", Severity.NOTE, "a note", "nothing")

    def fails():
        yield Finding("w", Severity.WARNING, "seen before it failed")
        raise Failed("database_failed", "no", "try")

    calm = Doctor({"a": lambda: [note]}).examine()
    assert calm["counts"] == {"error": 0, "warning": 0, "note": 1}
    assert calm["findings"][0]["area"] == "a"
    with pytest.raises(Unhealthy) as told:
        Doctor({"a": lambda: [note], "b": fails}).examine()
    assert told.value.code == "doctor_found_errors" and told.value.exit_code == 3
    assert [each["code"] for each in told.value.details["findings"]] == [
        "area_not_examined", "w", "n",
    ]  # fmt: skip


def test_every_code_is_documented():
    sources = Path(__file__).parents[2] / "src/ouroboros/services/doctor"
    codes = {
        code
        for path in sources.glob("*.py")
        for code in re.findall(r'Finding\(\s*"([a-z_]+)"', path.read_text())
    }
    documented = set(
        re.findall(r"`([a-z_]+)`", (sources.parents[3] / "docs/doctor.md").read_text())
    )
    assert len(codes) > 10 and codes <= documented, codes - documented
