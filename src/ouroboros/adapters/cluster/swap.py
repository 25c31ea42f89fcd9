"""The swap: one slot's database is replaced by a complete one, for everybody at one instant.

Closing comes first, because clients that keep reconnecting make a rename fail. Both renames, the
rights of the role, the row of the reset and the fence of the lease stand in one transaction with
a synchronous commit, so a crash at any point leaves either the old state or the new one.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection

from ouroboros.adapters.cluster.sql import run, run_all
from ouroboros.domain.errors import Refused
from ouroboros.domain.failpoint import failpoint
from ouroboros.domain.slot import Slot
from ouroboros.plans import databases as plan
from ouroboros.plans.roles import assert_slot_role, is_password
from ouroboros.plans.sql import statement

_SESSIONS_TIME_LIMIT_S = 10.0
_RENAME_TIME_LIMIT_S = 15.0
# A rename finds a session that has just ended and then sleeps 100 ms in the server. Cancelling it
# after a few milliseconds and trying again takes a fifth of the time under reconnecting clients.
_FIRST_PATIENCE_MS = 12


@dataclass(frozen=True, slots=True)
class Swap:
    """What is put in place of what. `settle` runs inside the transaction of the swap."""

    slot: Slot
    reset_id: int
    fence: int | None
    verifier: str
    mark_text: str
    can_check_password: bool
    settle: Callable[[Connection[Any]], None]


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


def close_and_empty(connection: Connection[Any], name: str) -> int:
    """Let nobody in any more and end who is inside; returns how many were ended.

    A frozen client does not matter, since its session is a process of the server. Raises
    `sessions_remain` for a superuser's session, which the admin may not end.
    """
    run_all(
        connection,
        # Losing this in a crash loses nothing: the database is still the old one.
        statement("SET LOCAL synchronous_commit = off"),
        plan.allow_connections(name, False),
    )
    failpoint("reset.closed")
    ended: set[int] = set()
    deadline = time.monotonic() + _SESSIONS_TIME_LIMIT_S
    pause_s = 0.0005
    while True:
        rows = run(connection, plan.end_sessions(name))
        if not rows:
            return len(ended)
        ended.update(pid for pid, _, _ in rows)
        if time.monotonic() > deadline or any(superuser for _, superuser, _ in rows):
            pids = ", ".join(str(pid) for pid, _, _ in rows)
            raise Refused(
                "sessions_remain",
                f"{name} still has sessions that cannot be ended (server processes {pids})",
                "end them: superusers have no business in a slot's database",
            )
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.004)


def swap_into_place(connection: Connection[Any], swap: Swap, *, replaces: bool) -> None:
    """Rename the old database away and the standby into its place, in one transaction.

    Raises `stale_fence`; repeats by itself while ending sessions are still counted.
    """
    deadline = time.monotonic() + _RENAME_TIME_LIMIT_S
    patience_ms = _FIRST_PATIENCE_MS
    while True:
        try:
            with connection.transaction():
                _swap_once(connection, swap, replaces, patience_ms)
                failpoint("reset.before_commit")
            return
        except (psycopg.errors.QueryCanceled, psycopg.errors.ObjectInUse):
            if time.monotonic() > deadline:
                raise
            patience_ms = min(patience_ms * 2, 6000)
            if replaces:
                run(connection, plan.end_sessions(swap.slot.database.name))


def _swap_once(connection: Connection[Any], swap: Swap, replaces: bool, patience_ms: int) -> None:
    database = swap.slot.database
    require_fence(connection, swap.slot, swap.fence)
    verifier = None if _password_is_right(connection, swap) else swap.verifier
    renames = [plan.rename(database.name, database.retired(swap.reset_id))] if replaces else []
    run_all(
        connection,
        statement("SET LOCAL synchronous_commit = on"),
        statement(f"SET LOCAL statement_timeout = {int(patience_ms)}"),
        *renames,
        plan.rename(database.standby, database.name),
        statement("SET LOCAL statement_timeout = '10s'"),
        *assert_slot_role(database, verifier),
        plan.comment(database.name, swap.mark_text),
        plan.allow_connections(database.name, True),
    )
    failpoint("reset.renamed")
    swap.settle(connection)


def _password_is_right(connection: Connection[Any], swap: Swap) -> bool:
    """Whether the slot's password needs no change; nobody of the slot is connected any more."""
    if not swap.can_check_password:
        return False
    return bool(run(connection, is_password(swap.slot.database, swap.verifier))[0][0])
