"""SQL statements as values: text, the identifiers in it, and its parameters.

They stand apart from the code that runs them, so that a plan can be shown and tested without a
server. Identifiers and literals are values of their own kind; nothing here pastes text into SQL,
the adapter quotes them by PostgreSQL's rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Name:
    """An identifier: of a database, role, schema or, with several parts, of a qualified object."""

    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """A literal for utility statements, which take no bound parameters."""

    value: str


@dataclass(frozen=True, slots=True)
class Names:
    """A list of identifiers, separated by commas."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement: each `{}` of `text` takes the next of `quoted`, each `%s` of `params`."""

    text: str
    quoted: tuple[Name | Text | Names, ...] = ()
    params: tuple[object, ...] = ()


def statement(text: str, *quoted: str | Text | Names, params: Sequence[object] = ()) -> Statement:
    """Make a statement; a plain string among `quoted` is an identifier."""
    return Statement(
        text,
        tuple(Name((part,)) if isinstance(part, str) else part for part in quoted),
        tuple(params),
    )
