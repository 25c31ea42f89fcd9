"""A TOML table that is read strictly: every key by its type, and no key unread.

Apart from what is read with it, because the rules of strictness are the same for all tables: a
problem is noted under its full key and reading goes on, so that all problems are told together.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Self


class StrictTable:
    """One TOML table: takes keys by type, and complains about those nobody took."""

    def __init__(self, data: Mapping[str, Any], name: str, problems: dict[str, str]) -> None:
        self._data = data
        self._name = name
        self._problems = problems
        self._taken: set[str] = set()

    def problem(self, key: str, text: str) -> None:
        """Note what is wrong with a key; `text` begins with a verb."""
        self._problems[self._full(key)] = text

    def has(self, key: str) -> bool:
        """Whether the key is there, of whatever type."""
        return key in self._data

    def table(self, key: str) -> Self | None:
        """The table of this name, or None."""
        value = self.take(key, dict, None)
        return None if value is None else type(self)(value, self._full(key), self._problems)

    def tables(self, key: str) -> list[Self]:
        """The tables of an array of tables."""
        items = self.take(key, list, [])
        return [
            type(self)(item, self._full(f"{key}[{at}]"), self._problems)
            for at, item in enumerate(items)
            if self._is_table(f"{key}[{at}]", item)
        ]

    def text(self, key: str, default: str) -> str:
        """A string."""
        return str(self.take(key, str, default))

    def number(self, key: str, default: int) -> int:
        """A whole number."""
        return int(self.take(key, int, default))

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        return bool(self.take(key, bool, default))

    def path(self, key: str, default: str) -> str:
        """A relative path that does not leave the repository."""
        text = self.text(key, default)
        if not _is_inside(text):
            self.problem(key, "is not a path inside the repository")
        return text

    def paths(self, key: str) -> tuple[str, ...]:
        """A list of relative paths that do not leave the repository."""
        items = self.take(key, list, [])
        if not all(isinstance(item, str) and _is_inside(item) for item in items):
            self.problem(key, "is not a list of paths inside the repository")
            return ()
        return tuple(items)

    def strings(self, key: str) -> tuple[str, ...]:
        """A list of strings; empty when it is not there or not one."""
        items = self.take(key, list, [])
        if not all(isinstance(item, str) and "\0" not in item for item in items):
            self.problem(key, "is not a list of strings")
            return ()
        return tuple(items)

    def finish(self) -> None:
        """Note every key that nobody has taken."""
        for key in self._data.keys() - self._taken:
            self.problem(key, "is not a known key")

    def _full(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key

    def _is_table(self, key: str, item: object) -> bool:
        if not isinstance(item, dict):
            self.problem(key, "is not a table")
        return isinstance(item, dict)

    def take(self, key: str, kind: type, default: Any) -> Any:
        """The value of a key, or the default when it is missing or of another type."""
        self._taken.add(key)
        if key not in self._data:
            return default
        value = self._data[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.problem(key, f"is not of type {kind.__name__}")
            return default
        return value


def _is_inside(text: str) -> bool:
    parts = PurePosixPath(text)
    return bool(text) and not parts.is_absolute() and ".." not in parts.parts and "\0" not in text
