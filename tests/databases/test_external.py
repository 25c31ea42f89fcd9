"""An external PostgreSQL, where pg_hba is not ours and the admin is no superuser, works too."""

from dataclasses import replace

import psycopg
import pytest
from tests.databases.conftest import V1, World, seed
from tests.databases.test_isolation import try_to_enter
from tests.postgres import PlainRunner, running_cluster

from ouroboros.adapters.cluster.access import external_access
from ouroboros.adapters.control.connection import open_pool
from ouroboros.adapters.control.schema import migrate_control_plane
from ouroboros.domain.database_url import require_own_database
from ouroboros.domain.errors import BadInput
from ouroboros.domain.reset import ResetPath
from ouroboros.domain.slot import Slot
from ouroboros.services.databases import SlotDatabases


def test_an_external_cluster_is_isolated_by_grants_alone(tmp_path):
    with running_cluster() as cluster:
        # As a stranger would set it up: everybody may try every database, with a password.
        (cluster.server.config_dir / "pg_hba.conf").write_text("local all all scram-sha-256\n")
        with cluster.superuser() as connection:
            connection.execute("CREATE ROLE dba LOGIN CREATEDB CREATEROLE PASSWORD 'given'")
            connection.execute("GRANT pg_signal_backend TO dba")
            for role in ("app_owner", "ouroboros_loader", *(f"app_preview_{n}" for n in (1, 2, 3))):
                connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
            connection.execute("CREATE DATABASE theirs OWNER dba")
            connection.execute("REVOKE ALL ON DATABASE theirs FROM PUBLIC")
            connection.execute("SELECT pg_reload_conf()")
        url = f"postgresql://dba:given@/theirs?host={cluster.access.host}&application_name=x"
        settings = replace(cluster.settings, control_dsn=url, seeds_dir=tmp_path / "seeds")
        access = external_access(url, cluster.settings.secrets_dir)
        migrate_control_plane(access.control_dsn())
        control = open_pool(access.control_dsn(), "test")
        try:
            databases = SlotDatabases(control, access, settings, PlainRunner())
            world = World(cluster, control, url, settings, databases)
            world.seed_file("v1", V1)
            databases.recover()
            for _ in range(2):
                for slot in settings.pool:
                    report = world.reset(slot, seed("v1"))
                world.settle()
            assert report.path is ResetPath.SWAP
            for slot in settings.pool:
                for name in cluster.databases():
                    answer = try_to_enter(world, slot, name)
                    if name == slot.database.name:
                        assert answer == "entered"
                    else:
                        assert "permission denied for database" in answer or (
                            "not currently accepting" in answer
                        ), (slot.id, name, answer)
            assert databases.verify(world.slot)["matches"]
        finally:
            control.close()


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
