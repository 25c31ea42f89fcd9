"""Prepared transactions: what a session can leave behind that no end of sessions ends.

Our own cluster has none (`max_prepared_transactions = 0`). In an external one such a transaction
stops every rename and drop of its database for ever. Only its owner may roll it back, and only
from inside, so the admin enters for this one purpose, with everybody else kept out. Ending a
transaction runs no code of the database.
"""

from typing import Any

import psycopg
from psycopg import Connection

from ouroboros.adapters.cluster.access import ClusterAccess
from ouroboros.adapters.cluster.sql import run, run_all
from ouroboros.plans import databases as plan
from ouroboros.plans.sql import Text, statement


def roll_back_prepared(
    connection: Connection[Any], access: ClusterAccess, database: str, role: str
) -> int:
    """Roll back every prepared transaction of a database; returns how many there were.

    `role` is the one that may enter it. Ends its sessions and leaves the database closed, when
    there was any. May be repeated.
    """
    if not run(connection, plan.list_prepared(database)):
        return 0
    run_all(
        connection,
        plan.keep_out(database, role),
        plan.terminate_sessions(database),
        plan.allow_connections(database, True),
    )
    try:
        with psycopg.connect(access.admin_dsn(database), autocommit=True) as inside:
            found = run(inside, plan.list_prepared(database))
            for gid, owner in found:
                run_all(inside, statement("SET ROLE {}", owner))
                run_all(inside, statement("ROLLBACK PREPARED {}", Text(gid)))
        return len(found)
    finally:
        run_all(connection, plan.allow_connections(database, False), *plan.grant(database, role))
