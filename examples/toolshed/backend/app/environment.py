"""Read and check what the slot tells the backend about itself.

Apart from everything else because it must be settled before anything connects: a backend that
was started against another slot's database has to stop here, with a sentence that says why.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

_REQUIRED = (
    "SLOT_ID",
    "SLOT_NUM",
    "SLOT_BACKEND_PORT",
    "SLOT_DB_NAME",
    "DATABASE_URL",
    "RUN_ID",
    "COMMIT_SHA",
    "PREVIEW_URL",
)
_SLOT_NAME = re.compile(r"preview-?([1-9][0-9]*)")
_ORIGIN = re.compile(r"(?P<origin>https?://[a-z0-9.-]+(:(?P<port>[0-9]{1,5}))?)(/|$)")
_WEB_PORT_BASE = 3100


class BadEnvironment(RuntimeError):
    """What the process was started with cannot be right; the message names every problem."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The slot this process serves, and the one database it may use."""

    slot_id: str
    slot_number: int
    run_id: str
    commit_sha: str
    database_name: str
    database_url: URL
    allowed_origins: tuple[str, ...]


def slot_id_of(text: str) -> str | None:
    """Return `preview-<n>` for a slot name or its alias `preview<n>`, None for anything else."""
    match = _SLOT_NAME.fullmatch(text)
    return f"preview-{match[1]}" if match else None


def read_environment(variables: Mapping[str, str]) -> Environment:
    """Check the slot's variables together.

    Raises BadEnvironment with one line for each problem; values that may hold a password are
    never part of it.
    """
    missing = [name for name in _REQUIRED if not variables.get(name)]
    if missing:
        raise BadEnvironment(f"not set: {', '.join(missing)}")
    problems: list[str] = []
    slot_id, number = variables["SLOT_ID"], variables["SLOT_NUM"]
    if slot_id != f"preview-{number}" or slot_id_of(slot_id) is None:
        problems.append(f"SLOT_ID {slot_id!r} and SLOT_NUM {number!r} do not name one slot")
    database_name = variables["SLOT_DB_NAME"]
    url = _database_url(variables["DATABASE_URL"], database_name, problems)
    origins = _origins(variables["PREVIEW_URL"], number, problems)
    if problems or url is None:
        raise BadEnvironment("; ".join(problems))
    return Environment(
        slot_id=slot_id,
        slot_number=int(number),
        run_id=variables["RUN_ID"],
        commit_sha=variables["COMMIT_SHA"],
        database_name=database_name,
        database_url=url,
        allowed_origins=origins,
    )


def _database_url(text: str, expected_name: str, problems: list[str]) -> URL | None:
    """Turn the slot's libpq URL into SQLAlchemy's, if it names the slot's own database."""
    try:
        url = make_url(text)
    except ArgumentError:
        problems.append("DATABASE_URL is not a PostgreSQL URL")
        return None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        problems.append("DATABASE_URL is not a PostgreSQL URL")
        return None
    # libpq lets parameters of the query take the place of the path's database and read
    # others from a service file, so both would pass a check that only looks at the path.
    if {"dbname", "service", "servicefile"} & set(url.query):
        problems.append("DATABASE_URL may not choose its database by a parameter")
    if url.database != expected_name:
        problems.append(
            f"DATABASE_URL names the database {url.database!r}, "
            f"but SLOT_DB_NAME says this slot owns {expected_name!r}"
        )
    return url.set(drivername="postgresql+psycopg")


def _origins(preview_url: str, number: str, problems: list[str]) -> tuple[str, ...]:
    """List the pages that may call this backend directly instead of through `/api`."""
    match = _ORIGIN.match(preview_url)
    if match is None:
        problems.append(f"PREVIEW_URL {preview_url!r} is not an http or https address")
        return ()
    ports = {int(match["port"])} if match["port"] else set()
    if number.isdigit():
        ports.add(_WEB_PORT_BASE + int(number))
    origins = [match["origin"]]
    origins += [
        f"http://{host}:{port}" for port in sorted(ports) for host in ("localhost", "127.0.0.1")
    ]
    return tuple(dict.fromkeys(origins))
