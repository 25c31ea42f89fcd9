"""Takes the logical fingerprint of a database, in one read-only snapshot.

A slot's database is read as the slot's own role and a template as the loader, never as the admin:
a cast or a policy made by branch code would run with the rights of whoever reads.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import Connection

from ouroboros.adapters.cluster.sql import compose, run
from ouroboros.domain.difference import Row, read_copy_row
from ouroboros.domain.errors import Refused
from ouroboros.domain.template import Fingerprint, TableDigest, digest_of
from ouroboros.plans import fingerprints as plan
from ouroboros.plans.sql import Statement, statement

LARGE_OBJECTS = "pg_largeobject"


class SchemaItem(NamedTuple):
    """One object: what kind, which, and its whole definition."""

    kind: str
    identity: str
    definition: str


class TableShape(NamedTuple):
    """A table with the columns of its primary key; both lists are empty when it has none."""

    schema: str
    name: str
    key: list[str]
    textual: list[bool]

    @property
    def qualified(self) -> str:
        """The name as it stands in fingerprints and answers."""
        return f"{self.schema}.{self.name}"


@contextlib.contextmanager
def reading(dsn: str) -> Iterator[Connection[Any]]:
    """A connection with pinned settings in one read-only snapshot."""
    options = " ".join(
        f"-c {key}={value.replace(' ', chr(92) + ' ')}"
        for key, value in plan.PINNED_SETTINGS.items()
    )
    with psycopg.connect(dsn, options=options, connect_timeout=10) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield connection


def take_fingerprint(connection: Connection[Any]) -> Fingerprint:
    """The fingerprint of the database behind a connection made by `reading`.

    Raises `row_security_forced`: of part of the rows it would be no fingerprint.
    """
    forced = [f"{schema}.{name}" for schema, name in run(connection, plan.forced_row_security())]
    if forced:
        raise Refused(
            "row_security_forced",
            f"{', '.join(forced)} is under FORCE ROW LEVEL SECURITY, so only a superuser could"
            " read all of its rows, and none of ours enters a slot's database",
            f"ALTER TABLE {forced[0]} NO FORCE ROW LEVEL SECURITY",
            {"tables": forced},
        )
    tables = {shape.qualified: digest_table(connection, shape) for shape in read_tables(connection)}
    if run(connection, statement("SELECT 1 FROM pg_largeobject_metadata LIMIT 1")):
        tables[LARGE_OBJECTS] = digest_copy(connection, plan.copy_large_objects())
    return Fingerprint(*catalog_fingerprint(connection), tables)


def catalog_fingerprint(connection: Connection[Any]) -> tuple[str, str]:
    """The digests of schema and sequences: cheap, and free of any code of the database's users."""
    items = read_schema(connection)
    schema = digest_of("\n".join("\x1f".join(item) for item in items))
    positions = "\n".join(f"{name} {value}" for name, value in read_sequences(connection).items())
    return schema, digest_of(positions)


def read_schema(connection: Connection[Any]) -> list[SchemaItem]:
    """Every object with its definition, sorted."""
    return sorted(SchemaItem(*map(str, row)) for row in run(connection, plan.schema_items()))


def read_sequences(connection: Connection[Any]) -> dict[str, str]:
    """Where each sequence stands."""
    names = [(schema, name) for schema, name in run(connection, plan.list_sequences())]
    if not names:
        return {}
    values = run(connection, plan.sequence_values(names))
    return {
        f"{schema}.{name}": f"{last} {'called' if called else 'fresh'}"
        for (schema, name), (last, called) in zip(names, values, strict=True)
    }


def read_tables(connection: Connection[Any]) -> list[TableShape]:
    """Every table that holds rows, sorted by name."""
    return [TableShape(*row) for row in run(connection, plan.list_tables())]


def digest_table(connection: Connection[Any], shape: TableShape) -> TableDigest:
    """Rows and SHA-256 of a table."""
    return digest_copy(
        connection, plan.copy_ordered(shape.schema, shape.name, shape.key, shape.textual)
    )


def read_columns(connection: Connection[Any], shape: TableShape) -> list[str]:
    """The columns of a table, in their order."""
    return [row[0] for row in run(connection, plan.list_columns(shape.schema, shape.name))]


def read_rows(
    connection: Connection[Any], shape: TableShape, key: Sequence[str], columns: Sequence[str]
) -> Iterator[Row]:
    """Rows with their keys, sorted by the bytes of the key; one COPY may be open at a time."""
    copy = plan.copy_keyed(shape.schema, shape.name, key, columns)
    with connection.cursor().copy(compose(copy)) as stream:
        for line in stream:
            yield read_copy_row(bytes(line))


def digest_columns(connection: Connection[Any], shape: TableShape) -> dict[str, str]:
    """A digest for each column by itself, whatever the order of the rows."""
    return {
        column: digest_copy(connection, plan.copy_column(shape.schema, shape.name, column)).digest
        for column in read_columns(connection, shape)
    }


def digest_copy(connection: Connection[Any], copy: Statement) -> TableDigest:
    """Rows and SHA-256 of what a COPY statement sends; memory stays constant."""
    digest = hashlib.sha256()
    rows = 0
    with connection.cursor().copy(compose(copy)) as stream:
        for chunk in stream:
            digest.update(chunk)
            rows += 1
    return TableDigest(rows, digest.hexdigest()[:32])
