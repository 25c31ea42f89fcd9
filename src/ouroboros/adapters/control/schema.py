"""Brings the control plane's schema to this version's head, by Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, pool, text

# Two processes that start at once must not migrate at once.
_MIGRATION_LOCK = 0x0B0B_0001


def migrate_control_plane(dsn: str) -> None:
    """Upgrade the control database behind `dsn` (a libpq URL) to head; may be repeated."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
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
