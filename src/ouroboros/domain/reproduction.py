"""Whether two publishes made the same: their inputs, their built files, their databases' state."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is equal, and the first thing by name that is not."""

    commit_equal: bool
    lock_files_equal: bool
    migrations_equal: bool
    database_fingerprint_equal: bool
    """Of the states that both resets brought back, before any migration and any visitor."""
    built_files_equal: bool
    built_files: int
    first_difference: str | None

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return self.first_difference is None

    def document(self) -> dict[str, Any]:
        """The comparison as an answer shows it."""
        return {"equal": self.equal, **asdict(self)}


def compare(original: Mapping[str, Any], copy: Mapping[str, Any]) -> Comparison:
    """Compare what two publishes recorded (`made-of.json`)."""
    named = {
        "commit": ("commit_sha",),
        "migrations": ("migrations",),
        "database": ("database_fingerprint", "seed_version", "snapshot_version"),
    }
    equal = {name: all(original[key] == copy[key] for key in keys) for name, keys in named.items()}
    locks = _first_difference(original["lock_files"], copy["lock_files"])
    files = _first_difference(original["files"], copy["files"])
    if equal["database"] and original["database_fingerprint"] is None:
        equal["database"] = False  # two states that nobody has measured are not equal
    differing = [name for name in named if not equal[name]]
    first = next((found for found in (*differing, locks, files) if found is not None), None)
    return Comparison(
        equal["commit"],
        locks is None,
        equal["migrations"],
        equal["database"],
        files is None,
        len(original["files"]),
        first,
    )


def _first_difference(one: Mapping[str, str], other: Mapping[str, str]) -> str | None:
    """The first path, in their order, that only one has or that both have differently."""
    return next((path for path in sorted({*one, *other}) if one.get(path) != other.get(path)), None)
