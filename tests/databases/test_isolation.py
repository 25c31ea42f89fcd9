"""A slot's role can enter nothing but its own database, and keeps nothing over a reset."""

import psycopg
import pytest
from tests.databases.conftest import V1, seed

from ouroboros.adapters.cluster.loading import load_file
from ouroboros.adapters.cluster.locks import Lock, holding
from ouroboros.adapters.cluster.seed_files import read_file
from ouroboros.domain.errors import Failed


def try_to_enter(world, slot, database: str) -> str:
    url = world.databases.url(slot)
    try:
        with psycopg.connect(
            host=url.host, port=url.port, user=url.user, password=url.password, dbname=database
        ):
            return "entered"
    except psycopg.OperationalError as error:
        return "refused" if "rejects connection" in str(error) else str(error)


def test_no_slot_enters_a_neighbour_a_standby_a_template_or_the_control_database(world):
    world.databases.recover()
    for _ in range(3):
        for slot in world.settings.pool:
            world.reset(slot, seed("v1"))
        world.settle()
    names = world.cluster.databases()
    assert any(name.endswith("__next") for name in names)
    for slot in world.settings.pool:
        entered = {name for name in names if try_to_enter(world, slot, name) == "entered"}
        assert entered == {slot.database.name}


def test_connect_is_granted_to_the_slot_alone_even_without_pg_hba(world):
    world.databases.recover()
    world.reset(world.slot, seed("v1"))
    world.settle()
    with world.cluster.superuser() as connection:
        rows = connection.execute(
            "SELECT d.datname, r.rolname FROM pg_database d, pg_roles r"
            " WHERE (d.datname LIKE 'app_preview%' OR d.datname IN"
            "        ('postgres', 'template1', 'ouroboros_control'))"
            " AND NOT r.rolsuper AND r.rolname !~ '^pg_' AND r.rolname <> 'ouroboros_admin'"
            " AND has_database_privilege(r.oid, d.oid, 'CONNECT')"
        ).fetchall()
    for database, role in rows:
        assert database in (role, f"{role}__next") or database.startswith(f"{role}__old")


def test_a_slot_that_changed_its_own_role_is_put_right_by_a_reset(world):
    world.reset(world.slot, seed("v1"))
    role = world.slot.database.role
    with world.as_slot(world.slot) as connection:
        connection.execute("SET ROLE NONE")
        connection.execute(f"ALTER ROLE {role} SET search_path = 'nowhere'")
        connection.execute(f"ALTER ROLE {role} SET statement_timeout = '1ms'")
        connection.execute(f"ALTER ROLE {role} IN DATABASE {role} SET work_mem = '64kB'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"GRANT {role} TO app_preview_2")
        connection.execute(f"ALTER ROLE {role} PASSWORD 'mine'")
    with pytest.raises(psycopg.OperationalError):
        world.as_slot(world.slot)
    world.reset(world.slot, seed("v1"))
    with world.as_slot(world.slot) as connection:
        for setting, value in (
            ("search_path", '"$user", public'),
            ("work_mem", "4MB"),
            ("statement_timeout", "15min"),
            ("role", "app_owner"),
        ):
            assert connection.execute(f"SHOW {setting}").fetchone() == (value,)
    with world.cluster.superuser() as connection:
        members = connection.execute(
            "SELECT DISTINCT m.rolname FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid"
            " JOIN pg_roles m ON m.oid = a.member WHERE r.rolname = %s",
            [role],
        ).fetchall()
        settings = connection.execute(
            "SELECT count(*) FROM pg_db_role_setting s JOIN pg_roles r"
            " ON r.oid = s.setrole WHERE s.setdatabase <> 0"
        ).fetchone()
    assert members == [("ouroboros_admin",)]
    assert settings[0] <= 1  # that of the replaced database, which goes with it


def test_a_slot_has_a_limit_of_connections_and_leaves_room_for_others(world):
    world.databases.recover()
    held = []
    try:
        with pytest.raises(psycopg.OperationalError, match="too many connections for role"):
            for _ in range(40):
                held.append(world.as_slot(world.slot))
        assert len(held) == 20
        world.query(world.settings.pool.slots[1], "SELECT 1")
    finally:
        for connection in held:
            connection.close()


def test_objects_belong_to_the_shared_owner_so_a_clone_fits_any_slot(world):
    world.seed_file("own", "SET ROLE NONE; CREATE TABLE t (n int);" + V1)
    world.reset(world.slot, seed("own"))
    owners = "SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = 'public'"
    assert world.query(world.slot, owners) == [("app_owner",)]
    with world.as_slot(world.slot) as connection:
        connection.execute("ALTER TABLE t ADD COLUMN more int")


ESCAPES = {
    "shell": "\\! touch {canary}\n",
    "pipe": "\\o | touch {canary}\nSELECT 1;\n",
    "copy_program": "COPY (SELECT 1) TO PROGRAM 'touch {canary}';\n",
    "copy_client": "\\copy (select 1) to '{canary}'\n",
    "copy_file": "COPY (SELECT 1) TO '{canary}';\n",
    "connect": "\\c app_preview_1\nCREATE TABLE escaped (n int);\n",
    "connect_control": "\\c postgres ouroboros_admin\n",
    "backticks": "\\set x `touch {canary}`\n",
    "unrestrict": "\\unrestrict 00000000000000000000000000000000\n\\! touch {canary}\n",
    "write_psql": "\\w {canary}\n",
    "become_admin": "SET ROLE ouroboros_admin;\n",
    "become_slot": "SET ROLE app_preview_1;\n",
    "authorization": "SET SESSION AUTHORIZATION ouroboros_root;\n",
    "make_superuser": "CREATE ROLE evil SUPERUSER LOGIN;\n",
    "grant_owner": "GRANT pg_read_server_files TO CURRENT_USER;\n",
    "read_file": "SELECT pg_read_file('/etc/passwd');\n",
    "other_database": "ALTER DATABASE app_preview_1 RENAME TO gone;\n",
    "drop_slot": "DROP DATABASE app_preview_1;\n",
    "untrusted": "CREATE EXTENSION dblink; CREATE EXTENSION file_fdw;\n",
    "system": "ALTER SYSTEM SET fsync = off;\n",
}


@pytest.fixture(scope="module")
def workshop(shared_world):
    """An empty state in the workshop, open for the loader; a seed that fails leaves it empty."""
    bench = shared_world.databases._bench
    with bench.own("test") as connection, holding(connection, Lock.WORKSHOP, 0, 10):
        made = bench.workshop(connection)
        made.build(None)
        yield made
        made.clear()


@pytest.mark.parametrize("way", sorted(ESCAPES))
def test_a_seed_cannot_leave_its_database_or_become_another_role(
    shared_world, workshop, way, tmp_path
):
    canary = tmp_path / "canary"
    tmp_path.chmod(0o777)
    file = tmp_path / f"{way}.sql"
    file.write_text("SELECT 1;\n" + ESCAPES[way].format(canary=canary))
    before = shared_world.ours()
    with pytest.raises(Failed) as failed:
        load_file(
            workshop.access,
            workshop.programs,
            workshop.runner,
            read_file(file),
            scratch_dir=tmp_path / "scratch",
            time_zone="UTC",
            time_limit_s=30,
        )
    assert failed.value.code == "seed_failed", failed.value
    assert not canary.exists()
    assert shared_world.ours() == before


def test_a_seed_that_spoils_the_loader_does_not_spoil_the_next_build(world):
    spoil = (
        "SET ROLE NONE; ALTER ROLE ouroboros_loader PASSWORD 'x';"
        "ALTER ROLE ouroboros_loader SET search_path = 'nowhere'; RESET ROLE;"
    )
    world.seed_file("spoil", spoil + V1)
    world.reset(world.slot, seed("spoil"))
    world.reset(world.slot, seed("v1"))
    assert try_to_enter(world, world.slot, "ouroboros_loader") == "refused"


def test_a_dump_of_pg_dump_with_its_own_restrict_lines_is_a_seed(world):
    key = "Ab3dEfGh"
    head = "--\n-- PostgreSQL database dump\n--\n\n\\restrict " + key + "\n\n"
    tail = "\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict " + key + "\n\n"
    world.seed_file("dump", head + V1 + tail)
    world.reset(world.slot, seed("dump"))
    assert world.query(world.slot, "SELECT count(*) FROM tools") == [(3,)]
    trick = V1.replace("COPY loans", f"\\unrestrict {key}\n\\! true\nCOPY loans")
    world.seed_file("trick", head + trick + tail)
    with pytest.raises(Failed) as failed:
        world.reset(world.slot, seed("trick"))
    assert failed.value.code == "seed_failed"


def test_names_of_64_characters_and_odd_names_inside_a_seed_are_fine(world):
    long, odd = "t" * 64, 'a ""b"" {c} %s'
    text = (
        f"CREATE TABLE {long} (n int primary key); INSERT INTO {long} VALUES (1);"
        f'CREATE SCHEMA "{odd}"; CREATE TABLE "{odd}"."{odd}" ("{odd}" text PRIMARY KEY);'
        f'INSERT INTO "{odd}"."{odd}" VALUES (\'x\'); CREATE SEQUENCE "{odd}"."s {odd}";'
    )
    world.seed_file("odd", text)
    report = world.reset(world.slot, seed("odd"))
    assert world.query(world.slot, f"SELECT n FROM {'t' * 63}") == [(1,)]
    assert len(report.fingerprint) == 64
