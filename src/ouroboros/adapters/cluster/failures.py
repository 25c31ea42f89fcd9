"""Translates PostgreSQL's errors into ours, by SQLSTATE and never by message text.

Source of the codes: PostgreSQL manual, appendix A.
"""

import contextlib
from collections.abc import Iterator

import psycopg
from psycopg_pool import PoolTimeout

from ouroboros.domain.errors import Failed, PreviewError, Refused, TimedOut, Unhealthy

_DISK_FULL = {"53100"}
_TIMED_OUT = {"57014"}
_LOCKED = {"55P03"}
_IN_USE = {"55006"}
_GONE = {"57P01", "57P02", "57P03"}


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise `disk_full`, `database_busy`, `database_timed_out`, `database_unavailable` or
    `database_failed` (with its SQLSTATE) for whatever PostgreSQL raises in the block."""
    try:
        yield
    except PoolTimeout as error:
        raise _unavailable(doing, error) from error
    except psycopg.Error as error:
        raise translate(error, doing) from error


def translate(error: psycopg.Error, doing: str) -> PreviewError:
    """Our error for one of PostgreSQL's; `doing` says what was tried, with names."""
    state = error.sqlstate or ""
    facts = {"sqlstate": state, "detail": error.diag.message_detail}
    text = f"{doing}: {error.diag.message_primary or error}".strip()
    if state in _DISK_FULL:
        return Failed("disk_full", text, "make room on the disk of PostgreSQL", facts)
    if state in _TIMED_OUT:
        return TimedOut("database_timed_out", text, "try again", facts)
    if state in _LOCKED or state in _IN_USE:
        return Refused("database_busy", text, "try again in a moment", facts)
    if state in _GONE or state.startswith("08") or not state:
        return _unavailable(doing, error)
    return Failed("database_failed", text, "see the log of PostgreSQL", facts)


def _unavailable(doing: str, error: Exception) -> Unhealthy:
    return Unhealthy(
        "database_unavailable", f"{doing}: {error}".strip(), "ouroboros status shows what is down"
    )
