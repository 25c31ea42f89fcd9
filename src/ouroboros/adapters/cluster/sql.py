"""Turns statements of the plans into psycopg's, which quotes identifiers and literals."""

from typing import Any

from psycopg import Connection, sql
from psycopg.rows import tuple_row

from ouroboros.plans.sql import Name, Names, Statement, Text


def compose(statement: Statement) -> sql.Composed:
    """The statement with its identifiers and literals quoted; parameters stay apart."""
    return sql.SQL(statement.text).format(*(_quoted(part) for part in statement.quoted))


def run(connection: Connection[Any], statement: Statement) -> list[tuple[Any, ...]]:
    """Run one statement and return its rows, if it has any."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(compose(statement), statement.params or None)
        return cursor.fetchall() if cursor.description else []


def run_all(connection: Connection[Any], *statements: Statement) -> list[tuple[Any, ...]]:
    """Run statements without parameters in one round trip, hence in one transaction.

    Returns the rows of the last one, if it has any.
    """
    if not statements:
        return []
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(sql.SQL(";\n").join([compose(each) for each in statements]))
        while cursor.nextset():
            pass
        return cursor.fetchall() if cursor.description else []


def _quoted(part: Name | Text | Names) -> sql.Composable:
    match part:
        case Name(parts):
            return sql.Identifier(*parts)
        case Text(value):
            return sql.Literal(value)
        case Names(names):
            return sql.SQL(", ").join([sql.Identifier(name) for name in names])
