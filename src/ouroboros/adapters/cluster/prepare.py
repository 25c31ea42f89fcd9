"""Prepares a cluster for slots: roles, passwords and the control plane's database.

It runs at every start and asserts everything anew, because a role may have changed itself since.
"""

from typing import Any

import psycopg
from psycopg import Connection

from ouroboros.adapters.cluster.access import ClusterAccess
from ouroboros.adapters.cluster.embedded import EmbeddedServer
from ouroboros.adapters.cluster.sql import run, run_all
from ouroboros.domain.slot import SlotPool
from ouroboros.plans import roles
from ouroboros.plans.postgres_config import LOADER, SUPERUSER
from ouroboros.plans.sql import statement

_PREPARE_LOCK = 0x0B0B_0002  # two processes that start at once must not both create a role


def prepare_cluster(server: EmbeddedServer, pool: SlotPool) -> None:
    """Bring the roles and the control database of our own cluster to what they must be.

    May be repeated; needs a server that answers.
    """
    access = server.access
    with psycopg.connect(access.superuser_dsn(), autocommit=True) as connection:
        run(connection, statement("SELECT pg_advisory_lock(%s)", params=[_PREPARE_LOCK]))
        verifier = make_verifier(connection, access.admin, access.password(access.admin))
        run_all(connection, *roles.admin_by_superuser(_roles(connection), verifier))
        for each in roles.control_database(_databases(connection)):
            run(connection, each)
    install_in_control(access.superuser_dsn(access.control_database), access.admin)
    prepare_roles(access, pool)


def install_in_control(superuser_dsn: str, admin: str) -> None:
    """Put into a control database of our own cluster what only a superuser can make."""
    with psycopg.connect(superuser_dsn, autocommit=True) as connection:
        run_all(connection, *roles.install_password_check(SUPERUSER, admin))


def prepare_roles(access: ClusterAccess, pool: SlotPool) -> None:
    """Make the owner, the loader and the slots' roles as the admin; may be repeated."""
    with psycopg.connect(access.admin_dsn(), autocommit=True) as connection:
        run(connection, statement("SELECT pg_advisory_lock(%s)", params=[_PREPARE_LOCK]))
        slots = {
            slot.database: make_verifier(
                connection, slot.database.role, access.password(slot.database.role)
            )
            for slot in pool
        }
        loader = make_verifier(connection, LOADER, access.password(LOADER))
        run_all(connection, *roles.roles_by_admin(_roles(connection), access.admin, loader, slots))


def make_verifier(connection: Connection[Any], role: str, password: str) -> str:
    """The SCRAM verifier of a password (libpq's PQencryptPasswordConn), made on our side."""
    return connection.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    ).decode("ascii")


def _roles(connection: Connection[Any]) -> set[str]:
    return {row[0] for row in run(connection, statement("SELECT rolname FROM pg_roles"))}


def _databases(connection: Connection[Any]) -> set[str]:
    return {row[0] for row in run(connection, statement("SELECT datname FROM pg_database"))}
