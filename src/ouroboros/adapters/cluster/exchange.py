"""Exchanging a slot's database for another state of it that is kept beside it.

As in a reset, the renames, the rights of the role and the fence stand in one transaction: a
crash leaves the one state behind the slot's name or the other, and both stay whole.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection

from ouroboros.adapters.cluster.access import ClusterAccess
from ouroboros.adapters.cluster.prepared import roll_back_prepared
from ouroboros.adapters.cluster.sql import run, run_all
from ouroboros.adapters.cluster.swap import close_and_empty, require_fence
from ouroboros.domain.failpoint import failpoint
from ouroboros.domain.slot import Slot
from ouroboros.domain.template import Mark
from ouroboros.plans import databases as plan
from ouroboros.plans.roles import assert_slot_role
from ouroboros.plans.sql import statement

_TIME_LIMIT_S = 15.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """What becomes of what: databases from old name to new, and marks by the new names."""

    slot: Slot
    fence: int
    renames: Sequence[tuple[str, str]]
    marks: Mapping[str, Mark]


def exchange(connection: Connection[Any], access: ClusterAccess, wanted: Exchange) -> None:
    """Close the slot's database, end its sessions, rename, and open what has its name then.

    The caller holds the slot's lock. Raises `stale_fence`, `sessions_remain`; after each of them
    the database that was there serves again.
    """
    name = wanted.slot.database.name
    deadline = time.monotonic() + _TIME_LIMIT_S
    require_fence(connection, wanted.slot, wanted.fence)
    try:
        close_and_empty(connection, name)
        failpoint("exchange.closed")
        while True:
            try:
                with connection.transaction():
                    _exchange_once(connection, wanted)
                failpoint("exchange.done")
                return
            except psycopg.errors.ObjectInUse:
                if time.monotonic() > deadline:
                    raise
                for old, _ in wanted.renames:
                    run(connection, plan.terminate_sessions(old))
                roll_back_prepared(connection, access, name, wanted.slot.database.role)
    finally:
        if not connection.broken:
            run(connection, plan.allow_connections(name, True))


def _exchange_once(connection: Connection[Any], wanted: Exchange) -> None:
    database = wanted.slot.database
    require_fence(connection, wanted.slot, wanted.fence)
    run_all(
        connection,
        statement("SET LOCAL synchronous_commit = on"),
        *(plan.rename(old, new) for old, new in wanted.renames),
        *assert_slot_role(database, None),
        *plan.grant_to_slot(database.name, database),
        *(plan.comment(name, mark.text()) for name, mark in wanted.marks.items()),
        plan.allow_connections(database.name, True),
    )
    failpoint("exchange.renamed")
