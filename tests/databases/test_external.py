"""An external PostgreSQL, where pg_hba is not ours and the admin is no superuser, works too."""

import time
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql
from tests.databases.conftest import V1, World, seed
from tests.databases.test_isolation import try_to_enter
from tests.postgres import PlainRunner, running_cluster

from ouroboros.adapters.cluster.access import external_access
from ouroboros.adapters.control.connection import open_pool
from ouroboros.adapters.control.schema import migrate_control_plane
from ouroboros.domain.database_url import require_own_database
from ouroboros.domain.errors import BadInput, PreviewError
from ouroboros.domain.finding import Finding
from ouroboros.domain.reset import ResetPath
from ouroboros.domain.slot import Slot
from ouroboros.services.databases import SlotDatabases
from ouroboros.services.doctor.databases import examine_databases


@pytest.fixture(scope="module")
def external(tmp_path_factory):
    """A cluster as a stranger would set it up: everybody may try every database, with a password,
    and transactions can be prepared. The admin is no superuser."""
    with running_cluster() as cluster:
        config = cluster.server.config_dir
        (config / "pg_hba.conf").write_text("local all all scram-sha-256\n")
        with (config / "postgresql.conf").open("a") as file:
            file.write("max_prepared_transactions = 5\n")
        with cluster.superuser() as connection:
            connection.execute("CREATE ROLE dba LOGIN CREATEDB CREATEROLE PASSWORD 'given'")
            connection.execute("GRANT pg_signal_backend TO dba")
            for role in ("app_owner", "ouroboros_loader", *(f"app_preview_{n}" for n in (1, 2, 3))):
                connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
            connection.execute("CREATE DATABASE theirs OWNER dba")
            connection.execute("REVOKE ALL ON DATABASE theirs FROM PUBLIC")
        cluster.stop()
        cluster.start()
        url = f"postgresql://dba:given@/theirs?host={cluster.access.host}&application_name=x"
        directory = tmp_path_factory.mktemp("external")
        settings = replace(cluster.settings, control_dsn=url, seeds_dir=directory / "seeds")
        access = external_access(url, cluster.settings.secrets_dir)
        migrate_control_plane(access.control_dsn())
        control = open_pool(access.control_dsn(), "test")
        try:
            databases = SlotDatabases(control, access, settings, PlainRunner())
            world = World(cluster, control, url, settings, databases)
            world.seed_file("v1", V1)
            databases.recover()
            yield world
        finally:
            control.close()


def findings(world: World) -> dict[str, Finding]:
    access = external_access(world.control_dsn, world.settings.secrets_dir)
    examine = examine_databases(world.control, access, world.settings)
    return {each.code: each for each in examine()}


def test_an_external_cluster_is_isolated_by_grants_alone(external):
    world = external
    for _ in range(2):
        for slot in world.settings.pool:
            report = world.reset(slot, seed("v1"))
        world.settle()
    assert report.path is ResetPath.SWAP
    for slot in world.settings.pool:
        for name in world.cluster.databases():
            answer = try_to_enter(world, slot, name)
            if name == slot.database.name:
                assert answer == "entered"
            else:
                assert "permission denied for database" in answer or (
                    "not currently accepting" in answer
                ), (slot.id, name, answer)
    assert world.databases.verify(world.slot)["matches"]


def prepare(url: str, gid: str, *, as_itself: bool) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        if as_itself:
            connection.execute("SET ROLE NONE")
        connection.execute("BEGIN")
        connection.execute("SELECT pg_advisory_xact_lock(7)")
        connection.execute(sql.SQL("PREPARE TRANSACTION {}").format(gid))


@pytest.mark.parametrize("as_itself", [True, False])
def test_a_prepared_transaction_of_a_slot_does_not_survive_its_reset(external, as_itself):
    world = external
    world.reset(world.slot, seed("v1"))
    world.settle()
    prepare(world.databases.url(world.slot).text(), "it's mine", as_itself=as_itself)
    assert "it's mine" in findings(world)["prepared_transaction"].message
    report = world.reset(world.slot, seed("v1"))
    assert report.path is ResetPath.SWAP
    assert "prepared_transaction" not in findings(world)
    assert world.query(world.slot, "SELECT count(*) FROM tools") == [(3,)]
    world.settle()
    assert world.databases.pool()["to_be_dropped"] == []


def test_a_prepared_transaction_of_a_seed_fails_the_seed_and_not_the_next_build(external):
    world = external
    world.seed_file("prepares", V1 + "PREPARE TRANSACTION 'left';\n")
    with pytest.raises(PreviewError):
        world.reset(world.slot, seed("prepares"))
    world.seed_file("after", V1 + "CREATE TABLE more (n int);\n")
    world.reset(world.slot, seed("after"))
    assert world.query(world.slot, "SELECT count(*) FROM more") == [(0,)]


def test_the_doctor_tells_what_is_weaker_in_an_external_cluster(external):
    world = external
    expected = {"not_durable", "prepared_transactions_possible", "pg_hba_unseen"}
    assert findings(world).keys() - {"standby_missing", "seed_not_deterministic"} == expected
    with world.cluster.superuser() as connection:
        connection.execute("GRANT CONNECT ON DATABASE postgres TO PUBLIC")
        try:
            found = findings(world)
        finally:
            connection.execute("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
    assert "postgres" in found["database_open_to_everyone"].message
    assert "app_preview_1 can enter postgres" in found["slot_enters_other_databases"].message


def test_the_doctor_reads_pg_hba_where_it_may(external):
    world = external
    rules = world.cluster.server.config_dir / "pg_hba.conf"
    before = rules.read_text()
    with world.cluster.superuser("theirs") as connection:
        connection.execute("GRANT SELECT ON pg_hba_file_rules TO dba")
        connection.execute("GRANT EXECUTE ON FUNCTION pg_hba_file_rules() TO dba")
    try:
        assert "pg_hba_without_sameuser" in findings(world)
        rules.write_text(f"local app_preview_1 app_preview_1 trust\n{before}local broken\n")
        found = findings(world)
        assert "app_preview_1" in found["pg_hba_trusts"].message
        assert "line 3" in found["pg_hba_broken"].message
        assert "password_not_asked" not in found  # not loaded yet
        rules.write_text(f"local app_preview_1 app_preview_1 trust\n{before}")
        with world.cluster.superuser() as connection:
            connection.execute("SELECT pg_reload_conf()")
        wait_for(
            lambda: "preview-1" in getattr(findings(world).get("password_not_asked"), "message", "")
        )
        rules.write_text(f"local sameuser all scram-sha-256\n{before}")
        assert (
            not {"pg_hba_trusts", "pg_hba_broken", "pg_hba_without_sameuser"}
            & findings(world).keys()
        )
    finally:
        rules.write_text(before)
        with world.cluster.superuser() as connection:
            connection.execute("SELECT pg_reload_conf()")


def wait_for(condition, limit_s: float = 30.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_external_dsn_keeps_how_the_server_is_known_for_the_slots(tmp_path):
    access = external_access(
        "postgresql://u:p@db.example:5433/control?sslmode=verify-full&sslrootcert=/ca%20x.pem"
        "&application_name=me&sslcert=/mine.pem",
        tmp_path,
    )
    assert access.admin_dsn("app_preview_1").endswith(
        "/app_preview_1?sslmode=verify-full&sslrootcert=/ca%20x.pem"
        "&application_name=me&sslcert=/mine.pem"
    )
    assert "/control?sslmode" in access.control_dsn()
    for url in (access.loader_dsn(), access.slot_url(Slot(1)).text()):
        parts = psycopg.conninfo.conninfo_to_dict(url)
        assert (parts["host"], parts["port"]) == ("db.example", "5433")
        assert (parts["sslmode"], parts["sslrootcert"]) == ("verify-full", "/ca x.pem")
        assert "application_name" not in parts and "sslcert" not in parts
    require_own_database(Slot(1), access.slot_url(Slot(1)).text())


@pytest.mark.parametrize(
    ("dsn", "problem"),
    [
        ("host=/tmp dbname=x", "not a URL"),
        ("postgresql://u:hunter2@h/db?nonsense=1", "libpq"),
        ("postgresql://u:hunter2@h1:1,h2:2/db", "more than one server"),
        ("postgresql://u:hunter2@h/db?options=-csearch_path%3Dx", "options"),
        ("postgresql://u:hunter2@h/db?target_session_attrs=any", "target_session_attrs"),
    ],
)
def test_an_external_dsn_that_cannot_be_kept_is_refused_by_name(tmp_path, dsn, problem):
    with pytest.raises(BadInput) as refused:
        external_access(dsn, tmp_path)
    assert refused.value.code == "invalid_configuration"
    assert problem in refused.value.message and "hunter2" not in str(refused.value.document())
