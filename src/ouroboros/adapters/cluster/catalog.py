"""Which databases there are, and what each of them is."""

from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from ouroboros.adapters.cluster.sql import run
from ouroboros.domain.template import TEMPLATE_PREFIX, Mark, read_mark
from ouroboros.plans import databases as plan
from ouroboros.plans.sql import statement

_HALF_MADE_OR_HALF_DROPPED = -2  # pg_database.datconnlimit, PostgreSQL manual 53.15


@dataclass(frozen=True, slots=True)
class DatabaseRecord:
    """One database as the cluster's catalog shows it."""

    name: str
    mark: Mark | None
    open: bool
    is_template: bool
    invalid: bool
    """A DROP DATABASE of it was interrupted; it can only be dropped."""
    entered: bool
    """Somebody has had a session in it since it was made, or since PostgreSQL lost its counts."""

    @property
    def usable_template(self) -> bool:
        """Whether it is a complete template of ours."""
        return self.is_template and self.mark is not None and self.name.startswith(TEMPLATE_PREFIX)


def read_catalog(connection: Connection[Any]) -> dict[str, DatabaseRecord]:
    """The databases of slots, templates and workshops by name."""
    return {
        name: DatabaseRecord(
            name,
            read_mark(text),
            is_open,
            is_template,
            limit == _HALF_MADE_OR_HALF_DROPPED,
            sessions > 0,
        )
        for name, text, is_open, is_template, limit, sessions in run(
            connection, plan.list_databases()
        )
    }


def read_mark_of(connection: Connection[Any], name: str) -> Mark | None:
    """The mark of one database; None when there is no such database or it has none."""
    rows = run(
        connection,
        statement(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s",
            params=[name],
        ),
    )
    return read_mark(rows[0][0]) if rows else None


def bytes_of(connection: Connection[Any], name: str) -> int:
    """The size of a database on disk; 0 when there is none of that name."""
    rows = run(connection, plan.size_of(name))
    return int(rows[0][0]) if rows else 0


def server_identity(connection: Connection[Any]) -> str:
    """What of a server can change the result of the same SQL: version and extensions."""
    rows = run(
        connection,
        statement(
            "SELECT 'postgres', (current_setting('server_version_num')::int / 10000)::text"
            " UNION ALL SELECT name, default_version FROM pg_available_extensions ORDER BY 1, 2"
        ),
    )
    return "\n".join(f"{name} {version}" for name, version in rows)
