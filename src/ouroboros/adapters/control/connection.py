"""Connections to the control plane: a pool whose sessions cannot hold a lock for ever.

A worker that is stopped inside a transaction would block every claimant, so each session has
limits far below the lease's TTL. Its transaction is ended before those who wait for its locks give
up (`idle_in_transaction_session_timeout` below `lock_timeout`), so they get through.
"""

import select
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from ouroboros.domain.errors import BadInput, Unhealthy

ControlConnection = psycopg.Connection[DictRow]
ControlPool = ConnectionPool[ControlConnection]

_SESSION = (
    "-c lock_timeout=10s -c idle_in_transaction_session_timeout=8s"
    " -c statement_timeout=60s -c timezone=UTC"
    # Also how soon a swap's rename counts for the first time again (adapters/cluster/swap.py).
    " -c client_connection_check_interval=10ms"
)
_GONE = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    # The session of a process that was stopped within a transaction; an InternalError to psycopg.
    psycopg.errors.IdleInTransactionSessionTimeout,
    PoolTimeout,
)


def open_pool(dsn: str, application_name: str, max_size: int = 16) -> ControlPool:
    """Open a pool of autocommit connections; statements that belong together say `transaction`.

    The pool connects in the background: a PostgreSQL that is not there yet is no error here.
    """
    return ConnectionPool(
        dsn,
        min_size=1,
        max_size=max_size,
        timeout=10.0,
        kwargs={
            "row_factory": dict_row,
            "autocommit": True,
            "options": _SESSION,
            "application_name": application_name,
        },
        check=_require_open,
        open=True,
        connection_class=psycopg.Connection[DictRow],
    )


def _require_open(connection: ControlConnection) -> None:
    """Raise when PostgreSQL has closed an idle connection.

    It is asked only when its end has said something, as it does when it closes: asking each time
    was a quarter of all that a publish said to it.
    """
    told = select.poll()
    told.register(connection.fileno(), select.POLLIN)
    if told.poll(0):
        ConnectionPool.check_connection(connection)


@contextmanager
def control(pool: ControlPool) -> Iterator[ControlConnection]:
    """Borrow a connection; raises `control_plane_unreachable` when PostgreSQL is not there."""
    try:
        with pool.connection() as connection:
            yield connection
    except psycopg.errors.LockNotAvailable as error:
        raise Unhealthy(
            "control_plane_busy",
            "a row of the control plane stayed locked for 10 s",
            "try again; ouroboros status shows what is running",
        ) from error
    except psycopg.DataError as error:
        # A NUL in a text, a number that is too large: nothing that was ever stored.
        raise BadInput("invalid_value", str(error).partition("\n")[0]) from error
    except _GONE as error:
        raise unreachable(error) from error


@contextmanager
def transaction(pool: ControlPool) -> Iterator[ControlConnection]:
    """Borrow a connection with a transaction open; all of it happens or none."""
    with control(pool) as connection, connection.transaction():
        yield connection


def unreachable(error: Exception) -> Unhealthy:
    """The error for a control plane that does not answer."""
    return Unhealthy(
        "control_plane_unreachable",
        f"the control plane's PostgreSQL does not answer ({type(error).__name__})",
        "ouroboros status; then ouroboros up",
    )
