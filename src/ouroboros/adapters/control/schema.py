"""Brings the control plane's schema to this version's head, by Alembic."""

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, pool, text

# Two processes that start at once must not migrate at once.
_MIGRATION_LOCK = 0x0B0B_0001


def migrate_control_plane(dsn: str) -> None:
    """Upgrade the control database behind `dsn` (a libpq URL) to head; may be repeated.

    A schema of a later version stays as it is: an installation that goes back to an earlier one
    finds it. Our migrations only add, so the earlier version works with it.
    """
    present = revision_of(dsn)
    if present is not None and present not in known_revisions():
        return
    config = _config()
    scheme, _, rest = dsn.partition("://")
    url = f"{scheme.replace('postgresql', 'postgresql+psycopg')}://{rest}"
    engine = create_engine(url, poolclass=pool.NullPool)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def known_revisions() -> set[str]:
    """The revisions of the control plane's schema that this version can bring to its head."""
    return {each.revision for each in ScriptDirectory.from_config(_config()).walk_revisions()}


def revision_of(dsn: str) -> str | None:
    """The revision that a control database is at; None for one without a schema."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        there = connection.execute("SELECT to_regclass('public.alembic_version')").fetchone()
        if there is None or there[0] is None:
            return None
        row = connection.execute("SELECT version_num FROM public.alembic_version").fetchone()
    return str(row[0]) if row else None


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
