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
from ouroboros.plans.postgres_config import LOADER
from ouroboros.plans.sql import statement

_PREPARE_LOCK = 0x0B0B_0002  # two processes that start at once must not both create a role


def prepare_cluster(server: EmbeddedServer, pool: SlotPool) -> None:
    """Bring the roles and the control database of our own cluster to what they must be.

    May be repeated; needs a server that answers.
    """
    access = server.access
    with psycopg.connect(access.superuser_dsn(), autocommit=True) as connection:
        run(connection, statement("SELECT pg_advisory_lock(%s)", params=[_PREPARE_LOCK]))
        verifier = access.verifier(access.admin)
        run_all(connection, *roles.admin_by_superuser(_roles(connection), verifier))
        for each in roles.control_database(_databases(connection)):
            run(connection, each)
    prepare_roles(access, pool)


def prepare_roles(access: ClusterAccess, pool: SlotPool) -> None:
    """Make the owner, the loader and the slots' roles as the admin; may be repeated."""
    with psycopg.connect(access.admin_dsn(), autocommit=True) as connection:
        run(connection, statement("SELECT pg_advisory_lock(%s)", params=[_PREPARE_LOCK]))
        slots = {slot.database: access.verifier(slot.database.role) for slot in pool}
        loader = access.verifier(LOADER)
        run_all(connection, *roles.roles_by_admin(_roles(connection), access.admin, loader, slots))


def _roles(connection: Connection[Any]) -> set[str]:
    return {row[0] for row in run(connection, statement("SELECT rolname FROM pg_roles"))}


def _databases(connection: Connection[Any]) -> set[str]:
    return {row[0] for row in run(connection, statement("SELECT datname FROM pg_database"))}
