"""Open the slot's database in a way that survives the database being replaced.

A reset renames another database into this one's place while the backend runs. Every pooled
connection is then dead, and for some milliseconds nobody can connect: so a connection is tried
before it is used, and a request that still meets the gap is told to come back (503).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from app.environment import Environment

# A slot's role has a small connection limit, and one reviewer clicks at a time.
_POOL_SIZE = 3
_POOL_OVERFLOW = 2


def open_engine(environment: Environment) -> Engine:
    """Make the connection pool, at most five connections. Nothing connects yet."""
    return create_engine(
        environment.database_url,
        pool_size=_POOL_SIZE,
        max_overflow=_POOL_OVERFLOW,
        pool_timeout=10,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 5, "application_name": f"toolshed {environment.slot_id}"},
    )


def connected_database(engine: Engine) -> str:
    """Ask the server which database it answers for. Raises sqlalchemy.exc.DBAPIError."""
    with engine.connect() as connection:
        return str(connection.scalar(text("SELECT current_database()")))


def session_of_request(request: Request) -> Iterator[Session]:
    """Give a request its session; what it did is committed only if it did not raise."""
    engine: Engine = request.app.state.engine
    with Session(engine) as session, session.begin():
        yield session


OpenSession = Annotated[Session, Depends(session_of_request, scope="function")]
