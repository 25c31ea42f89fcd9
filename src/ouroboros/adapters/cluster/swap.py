"""The swap: one slot's database is replaced by a complete one, for everybody at one instant.

Closing comes first, because clients that keep reconnecting make a rename fail. Both renames, the
rights of the role, the row of the reset and the fence of the lease stand in one transaction with
a synchronous commit, so a crash at any point leaves either the old state or the new one.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection

from ouroboros.adapters.cluster.access import ClusterAccess
from ouroboros.adapters.cluster.prepared import roll_back_prepared
from ouroboros.adapters.cluster.sql import run, run_all
from ouroboros.domain.errors import Refused
from ouroboros.domain.failpoint import failpoint
from ouroboros.domain.slot import Slot
from ouroboros.plans import databases as plan
from ouroboros.plans.roles import assert_slot_role
from ouroboros.plans.sql import Statement, statement

_SESSIONS_TIME_LIMIT_S = 10.0
_RENAME_TIME_LIMIT_S = 15.0
# A rename locks the database, so that whoever connects now waits, and then counts who is still
# inside: 50 times, 100 ms apart (CountOtherDBBackends). The timer that looks after a lost client
# ends that nap early, so this is how soon it counts again.
_RECOUNT_MS = 2
_COUNTS = 50


@dataclass(frozen=True, slots=True)
class Swap:
    """What is put in place of what. `settle` runs inside the transaction of the swap."""

    slot: Slot
    standby: str
    reset_id: int
    fence: int | None
    verifier: str
    mark_text: str
    settle: Callable[[int], Statement]
    """Settles the row, given the number of sessions that were ended; returns its details."""


def require_fence(connection: Connection[Any], slot: Slot, fence: int | None) -> None:
    """Lock the slot's row under this fence; raises `stale_fence`. None is an operator's reset."""
    if fence is None:
        return
    if not run(connection, plan.lock_fence(slot.id, fence)):
        raise Refused(
            "stale_fence",
            f"{slot.id} is no longer leased under fence {fence}; its database was not touched",
            "allocate again",
        )


def close(connection: Connection[Any], name: str) -> None:
    """Let nobody in any more; who is inside stays."""
    run_all(
        connection,
        # Losing this in a crash loses nothing: the database is still the old one.
        statement("SET LOCAL synchronous_commit = off"),
        plan.allow_connections(name, False),
    )
    failpoint("reset.closed")


def close_and_empty(connection: Connection[Any], name: str) -> None:
    """Let nobody in any more and end who is inside.

    A frozen client does not matter, since its session is a process of the server. Raises
    `sessions_remain` for a superuser's session, which the admin may not end.
    """
    close(connection, name)
    deadline = time.monotonic() + _SESSIONS_TIME_LIMIT_S
    pause_s = 0.0005
    while _sessions_of(connection, name, deadline):
        run(connection, plan.terminate_sessions(name))
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.004)


def _sessions_of(connection: Connection[Any], name: str, deadline: float) -> set[int]:
    """The sessions of a database; raises `sessions_remain` for those that cannot be ended."""
    rows = run(connection, plan.list_sessions(name))
    if rows and (time.monotonic() > deadline or any(superuser for _, superuser in rows)):
        pids = ", ".join(str(pid) for pid, _ in rows)
        raise Refused(
            "sessions_remain",
            f"{name} still has sessions that cannot be ended (server processes {pids})",
            "end them: superusers have no business in a slot's database",
        )
    return {pid for pid, _ in rows}


def swap_into_place(
    connection: Connection[Any], access: ClusterAccess, swap: Swap, *, replaces: bool
) -> Mapping[str, Any]:
    """End the old database's sessions, rename it away and the standby into its place, at once.

    The old database is closed already. Returns the details of the settled row. Raises
    `stale_fence` and `sessions_remain`; repeats by itself while ending sessions are still counted.
    """
    deadline = time.monotonic() + _RENAME_TIME_LIMIT_S
    ended: set[int] = set()
    recount_ms = _RECOUNT_MS
    while True:
        try:
            with connection.transaction():
                require_fence(connection, swap.slot, swap.fence)
                if replaces:
                    ended |= _sessions_of(connection, swap.slot.database.name, deadline)
                _be_patient(connection, recount_ms)
                details = _swap_once(connection, swap, len(ended), replaces=replaces)
                failpoint("reset.before_commit")
            return details
        except (psycopg.errors.QueryCanceled, psycopg.errors.ObjectInUse):
            if time.monotonic() > deadline:
                raise
            recount_ms = min(recount_ms * 2, 100)
            database = swap.slot.database
            roll_back_prepared(connection, access, database.name, database.role)


def _be_patient(connection: Connection[Any], recount_ms: int) -> None:
    """How often the rename counts, and when it is given up where the timer does not wake it."""
    run_all(
        connection,
        statement(f"SET LOCAL client_connection_check_interval = {recount_ms}"),
        statement(f"SET LOCAL statement_timeout = {recount_ms * _COUNTS * 3}"),
        statement("SET LOCAL synchronous_commit = on"),
    )


def _swap_once(
    connection: Connection[Any], swap: Swap, ended: int, *, replaces: bool
) -> Mapping[str, Any]:
    """All of it in one round trip: every further one would wait among reconnecting clients."""
    database = swap.slot.database
    make_room = [
        plan.terminate_sessions(database.name),
        plan.rename(database.name, database.retired(swap.reset_id)),
    ]
    rows = run_all(
        connection,
        *(make_room if replaces else []),
        # From here on nobody of the slot is connected or can be.
        plan.rename(swap.standby, database.name),
        *assert_slot_role(database, swap.verifier),
        plan.comment(database.name, swap.mark_text),
        plan.allow_connections(database.name, True),
        swap.settle(ended),
    )
    failpoint("reset.renamed")
    details: Mapping[str, Any] = rows[0][0]
    return details
