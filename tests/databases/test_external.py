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
from ouroboros.domain.errors import BadInput
from ouroboros.domain.reset import ResetPath
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


def test_an_external_dsn_must_be_a_url_and_keeps_its_parameters(tmp_path):
    with pytest.raises(BadInput):
        external_access("host=/tmp dbname=x", tmp_path)
    access = external_access("postgresql://u:p@db.example:5433/control?sslmode=require", tmp_path)
    assert access.admin_dsn("app_preview_1") == (
        "postgresql://u:p@db.example:5433/app_preview_1?sslmode=require"
    )
    assert access.control_dsn().endswith("/control?sslmode=require")
    assert psycopg.conninfo.conninfo_to_dict(access.loader_dsn())["host"] == "db.example"
