"""Print a schema and its rows as SQL that `psql -1` loads; knows nothing of tools or loans."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from alembic import command
from alembic.config import Config


def schema_sql(backend: Path) -> str:
    """Let Alembic print the schema of its head, without its own transaction."""
    printed = io.StringIO()
    config = Config(str(backend / "alembic.ini"), output_buffer=printed)
    command.upgrade(config, "head", sql=True)
    lines = (line.rstrip() for line in printed.getvalue().splitlines())
    kept = [line for line in lines if line and line not in ("BEGIN;", "COMMIT;")]
    return "\n".join(kept) + "\n"


def copy_sql(table: str, columns: str, rows: Iterable[Sequence[object]]) -> str:
    """Write a table's rows as COPY's text format."""
    body = "".join("\t".join(_copy_value(value) for value in row) + "\n" for row in rows)
    return f"COPY public.{table} ({columns}) FROM stdin;\n{body}\\.\n"


def _copy_value(value: object) -> str:
    """Escape one value for COPY's text format (PostgreSQL manual, COPY, "Text Format")."""
    if value is None:
        return r"\N"
    return str(value).replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n")
