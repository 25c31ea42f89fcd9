"""Run the migrations on the slot's own database and on no other."""

from __future__ import annotations

import os
import sys

from alembic import context
from sqlalchemy import create_engine, pool

from app.environment import BadEnvironment, read_environment
from app.models import Base


def run_offline() -> None:
    """Write the SQL instead of running it; needs no database and no slot."""
    context.configure(dialect_name="postgresql", target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    """Migrate in one transaction, after the same check as the backend's own start."""
    try:
        environment = read_environment(os.environ)
    except BadEnvironment as problem:
        sys.exit(f"toolshed: {problem}")
    engine = create_engine(environment.database_url, poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(
            connection=connection, target_metadata=Base.metadata, compare_server_default=True
        )
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
