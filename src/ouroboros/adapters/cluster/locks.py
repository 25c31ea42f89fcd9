"""Locks between processes: for each slot's databases, for building templates, for each reset.

They are advisory locks in the control plane's database, so they end with the session of whoever
held them. A wait has a limit, because a frozen holder would otherwise freeze everybody.
"""

import contextlib
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import psycopg
from psycopg import Connection

from ouroboros.adapters.cluster.sql import run
from ouroboros.domain.errors import Refused
from ouroboros.plans.sql import statement


class Lock(IntEnum):
    """What is locked; the number is the first key of PostgreSQL's pg_advisory_lock(int, int)."""

    SLOT = 0x0B0B_0010
    WORKSHOP = 0x0B0B_0011
    REHEARSAL = 0x0B0B_0012
    ATTEMPT = 0x0B0B_0013
    """Held by a reset, under the id of its row, for as long as it lives."""


@contextlib.contextmanager
def holding(
    connection: Connection[Any], lock: Lock, number: int, time_limit_s: float
) -> Iterator[None]:
    """Hold a lock for a block; raises `slot_databases_busy` when the wait takes too long."""
    with holding_if_free(connection, lock, number) as held:
        if held:
            yield
            return
    limit_ms = max(1, round(time_limit_s * 1000))
    try:
        run(
            connection,
            statement(
                "SELECT set_config('lock_timeout', %s, false), pg_advisory_lock(%s, %s)",
                params=[f"{limit_ms}ms", int(lock), number],
            ),
        )
    except psycopg.errors.LockNotAvailable as error:
        # The setting was rolled back with the statement.
        what = {
            Lock.SLOT: f"the databases of slot {number}",
            Lock.WORKSHOP: "the template workshop",
            Lock.REHEARSAL: "the stage of rehearsals",
        }[lock]
        raise Refused(
            "slot_databases_busy",
            f"{what} are in use by another command for more than {time_limit_s:g} s",
            "try again; ouroboros db pool shows what is being made",
        ) from error
    connection.execute("RESET lock_timeout")
    try:
        yield
    finally:
        _release(connection, lock, number)


@contextlib.contextmanager
def holding_if_free(connection: Connection[Any], lock: Lock, number: int) -> Iterator[bool]:
    """Hold a lock for a block if nobody else does; the block is told whether it has it."""
    rows = run(
        connection,
        statement("SELECT pg_try_advisory_lock(%s, %s)", params=[int(lock), number]),
    )
    held = bool(rows[0][0])
    try:
        yield held
    finally:
        if held:
            _release(connection, lock, number)


def _release(connection: Connection[Any], lock: Lock, number: int) -> None:
    # A session that was lost has lost its locks, too.
    with contextlib.suppress(psycopg.OperationalError):
        run(
            connection,
            statement("SELECT pg_advisory_unlock(%s, %s)", params=[int(lock), number]),
        )
