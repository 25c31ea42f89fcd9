"""Differences between two states of a database: of their schemas, and row by row of a table.

Both sides of a table come as rows sorted by the bytes of their keys, so one pass tells what was
added, changed and removed, and memory does not grow with the table.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = tuple[bytes, tuple[str | None, ...]]
"""The key in sort order and the values of the compared columns."""

_PARTS_OF_TABLES = {"column", "constraint", "trigger", "rule", "policy"}
_ESCAPES = {
    ord("b"): "\b",
    ord("f"): "\f",
    ord("n"): "\n",
    ord("r"): "\r",
    ord("t"): "\t",
    ord("v"): "\v",
}


@dataclass(slots=True)
class TableDifference:
    """How the rows of one table differ. Samples hold the first few of each kind."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def document(self) -> dict[str, Any]:
        """The difference as JSON."""
        return {
            "added": self.added,
            "changed": self.changed,
            "removed": self.removed,
            "samples": self.samples,
        }


def compare_rows(
    before: Iterable[Row],
    after: Iterable[Row],
    key: Sequence[str],
    columns: Sequence[str],
    sample_size: int,
) -> TableDifference:
    """Merge two sorted sides; without a key, equal rows pair off and the rest came or went."""
    difference = TableDifference()

    def note(kind: str, sample: dict[str, Any]) -> None:
        kept = difference.samples.setdefault(kind, [])
        if len(kept) < sample_size:
            kept.append(sample)

    for old, new in _paired(iter(before), iter(after)):
        if old is None and new is not None:
            difference.added += 1
            note("added", dict(zip(columns, new[1], strict=True)))
        elif new is None and old is not None:
            difference.removed += 1
            note("removed", dict(zip(columns, old[1], strict=True)))
        elif old is not None and new is not None and old[1] != new[1]:
            difference.changed += 1
            values = dict(zip(columns, old[1], strict=True))
            changes = {
                column: [was, now]
                for column, was, now in zip(columns, old[1], new[1], strict=True)
                if was != now
            }
            note("changed", {"key": {name: values[name] for name in key}, "changes": changes})
    return difference


def _paired(before: Iterator[Row], after: Iterator[Row]) -> Iterator[tuple[Row | None, Row | None]]:
    old, new = next(before, None), next(after, None)
    while old is not None or new is not None:
        if new is None or (old is not None and old[0] < new[0]):
            yield old, None
            old = next(before, None)
        elif old is None or new[0] < old[0]:
            yield None, new
            new = next(after, None)
        else:
            yield old, new
            old, new = next(before, None), next(after, None)


def read_copy_row(line: bytes) -> Row:
    """Read a line of COPY's text format (PostgreSQL manual, COPY) whose first field is a key."""
    fields = [_value(part) for part in line.rstrip(b"\n").split(b"\t")]
    return (fields[0] or "").encode("utf-8", "surrogateescape"), tuple(fields[1:])


def _value(part: bytes) -> str | None:
    if part == rb"\N":
        return None
    if b"\\" not in part:
        return part.decode("utf-8", "surrogateescape")
    text, escaped = [], False
    for character in part.decode("utf-8", "surrogateescape"):
        if escaped:
            text.append(_ESCAPES.get(ord(character), character))
            escaped = False
        elif character == "\\":
            escaped = True
        else:
            text.append(character)
    return "".join(text)


def compare_schemas(
    before: Mapping[tuple[str, str], str], after: Mapping[tuple[str, str], str]
) -> dict[str, list[dict[str, str]]]:
    """What objects were added, changed or removed, by (kind, identity).

    Parts of a table that came or went as a whole are not listed again.
    """
    added = [key for key in after if key not in before]
    removed = [key for key in before if key not in after]
    changed = [key for key in after if key in before and before[key] != after[key]]
    return {
        "added": [_item(key, after[key]) for key in sorted(_without_parts(added))],
        "changed": [{**_item(key, after[key]), "was": before[key]} for key in sorted(changed)],
        "removed": [_item(key, before[key]) for key in sorted(_without_parts(removed))],
    }


def _item(key: tuple[str, str], definition: str) -> dict[str, str]:
    return {"kind": key[0], "name": key[1], "definition": definition}


def _without_parts(keys: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    tables = tuple(f"{name}." for kind, name in keys if kind not in _PARTS_OF_TABLES)
    return [key for key in keys if key[0] not in _PARTS_OF_TABLES or not key[1].startswith(tables)]
