"""Print a schema and its rows as SQL that `psql -1` loads; knows nothing of tools or loans."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from alembic import command
from alembic.config import Config


class Table(NamedTuple):
    """A table's rows, numbered from 1 without gaps, and the columns they fill."""

    name: str
    columns: str
    rows: Sequence[Sequence[object]]


def schema_sql(backend: Path) -> str:
    """Let Alembic print the schema of its head, without its own transaction."""
    printed = io.StringIO()
    config = Config(str(backend / "alembic.ini"), output_buffer=printed)
    command.upgrade(config, "head", sql=True)
    lines = (line.rstrip() for line in printed.getvalue().splitlines())
    kept = [line for line in lines if line and line not in ("BEGIN;", "COMMIT;")]
    return "\n".join(kept) + "\n"


def copy_sql(table: Table) -> str:
    """Write a table's rows in COPY's text format."""
    body = "".join("\t".join(_copy_value(value) for value in row) + "\n" for row in table.rows)
    return f"COPY public.{table.name} ({table.columns}) FROM stdin;\n{body}\\.\n"


def sequence_sql(table: Table) -> str:
    """Set the table's identity sequence after its last row."""
    return f"SELECT pg_catalog.setval('public.{table.name}_id_seq', {len(table.rows)}, true);\n"


def _copy_value(value: object) -> str:
    """Escape one value for COPY's text format (PostgreSQL manual, COPY, "Text Format")."""
    if value is None:
        return r"\N"
    return str(value).replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n")
