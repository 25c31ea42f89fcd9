"""Seed and snapshot files: finding one, and taking a private copy that psql may read.

A file is copied before it is hashed and loaded, so what is loaded is what was hashed, whatever is
written to the original meanwhile.
"""

import hashlib
import itertools
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ouroboros.domain.errors import BadInput, Failed, NotFound
from ouroboros.domain.identifiers import is_version
from ouroboros.domain.reset import Source, Strategy
from ouroboros.settings import Settings

_KINDS = (".sql", ".dump")
_CHUNK_BYTES = 1 << 20
_LINES_LOOKED_AT = 200_000
# pg_dump since 15.14 puts its own pair around everything (its manual page, "restrict key").
_OWN_RESTRICT = re.compile(rb"\A(?:[ \t]*(?:--[^\n]*)?\r?\n)*(\\restrict[ \t]+(\w+)[ \t]*\r?\n)")


@dataclass(frozen=True, slots=True)
class SeedFile:
    """A file that a state is made from. `content` is its SHA-256."""

    path: Path
    content: str
    bytes: int

    @property
    def is_archive(self) -> bool:
        """Whether it is for pg_restore rather than psql."""
        return self.path.suffix == ".dump"


def find_file(settings: Settings, source: Source) -> Path | None:
    """The file of a seed or snapshot version; None when there is none.

    Raises `snapshot_ambiguous` when a snapshot has several.
    """
    if source.version is None:
        return None
    if source.strategy is Strategy.SEED:
        path = settings.seeds_dir / f"{source.version}.sql"
        return path if path.is_file() else None
    found = [
        path
        for kind in _KINDS
        if (path := settings.snapshots_dir / f"{source.version}{kind}").is_file()
    ]
    if len(found) > 1:
        raise BadInput(
            "snapshot_ambiguous",
            f"snapshot {source.version} has {len(found)} files in {settings.snapshots_dir}",
            "remove all but one",
        )
    return found[0] if found else None


def list_versions(settings: Settings) -> list[tuple[Strategy, str, Path]]:
    """Every seed and snapshot file with its version; a name that is no version is left out."""
    places = (
        (Strategy.SEED, settings.seeds_dir, (".sql",)),
        (Strategy.SNAPSHOT, settings.snapshots_dir, _KINDS),
    )
    return [
        (strategy, path.stem, path)
        for strategy, directory, kinds in places
        for path in sorted(directory.glob("*"))
        if path.suffix in kinds and is_version(path.stem)
    ]


def read_file(path: Path) -> SeedFile:
    """Hash a file as it is now; raises `seed_unreadable`."""
    digest = hashlib.sha256()
    size = 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise Failed("seed_unreadable", f"{path}: {error.strerror}", "see its mode") from error
    return SeedFile(path, digest.hexdigest(), size)


@contextmanager
def private_copy(file: SeedFile, directory: Path) -> Iterator[Path]:
    """A copy that nobody else writes to, without pg_dump's own `\\restrict` pair.

    psql is locked by a key of ours, and inside a locked file no other meta-command may stand.
    Raises `seed_changed_while_reading`, `disk_full`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix="seed-") as place:
        copy = Path(place) / file.path.name
        try:
            _copy(file, copy)
        except OSError as error:
            raise Failed(
                "disk_full", f"cannot copy {file.path.name}: {error.strerror}", "make room"
            ) from error
        yield copy


def _copy(file: SeedFile, copy: Path) -> None:
    digest = hashlib.sha256()
    key = None
    with file.path.open("rb") as original, copy.open("x+b") as target:
        head = original.read(_CHUNK_BYTES)
        digest.update(head)
        if not file.is_archive and (match := _OWN_RESTRICT.match(head)):
            key = match.group(2)
            head = head[: match.start(1)] + head[match.end(1) :]
        target.write(head)
        while chunk := original.read(_CHUNK_BYTES):
            digest.update(chunk)
            target.write(chunk)
        if key is not None:
            _cut_closing_half(target, key)
    if digest.hexdigest() != file.content:
        raise Failed(
            "seed_changed_while_reading", f"{file.path} was written to meanwhile", "try again"
        )


def _cut_closing_half(copy: BinaryIO, key: bytes) -> None:
    """Remove `\\unrestrict KEY` where only comments and blank lines follow it."""
    start = max(0, copy.seek(0, os.SEEK_END) - _CHUNK_BYTES)
    copy.seek(start)
    tail = copy.read()
    line = rb"^\\unrestrict[ \t]+" + re.escape(key) + rb"[ \t]*\r?\n?"
    match = re.search(line + rb"((?:[ \t]*(?:--[^\n]*)?\r?\n?)*)\Z", tail, re.MULTILINE)
    if match:
        copy.truncate(start + match.start())


def count_inserts(file: SeedFile) -> int:
    """How many INSERT statements begin a line in the first part of a file."""
    if file.is_archive:
        return 0
    with file.path.open("rb") as lines:
        return sum(
            line[:12].lower().startswith(b"insert into ")
            for line in itertools.islice(lines, _LINES_LOOKED_AT)
        )


def missing(settings: Settings, source: Source) -> NotFound:
    """The error for a version that does not exist."""
    directory = settings.seeds_dir if source.strategy is Strategy.SEED else settings.snapshots_dir
    kind = str(source.strategy)
    stems = {path.stem for path in directory.glob("*") if path.suffix in _KINDS}
    known = ", ".join(sorted(stems)) or "none"
    wanted = f"{source.version}.sql" if kind == "seed" else f"{source.version}.*"
    return NotFound(
        f"{kind}_not_found",
        f"there is no {kind} {source.version} ({directory / wanted})",
        f"versions there are: {known}",
    )
