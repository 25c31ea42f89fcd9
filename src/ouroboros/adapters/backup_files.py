"""The file of a backup: a manifest, the control plane's dump, settings, snapshots' files.

A backup is made whole or not at all, and only its owner may read it. What is read from one is
checked first: a member is taken by its exact name or not at all, so no archive can write elsewhere.
"""

import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ouroboros.domain.errors import BadInput, Failed, NotFound, Refused

_TOP = "ouroboros-backup"
MANIFEST, DUMP = "manifest.json", "control.dump"
SETTINGS, GIT_HOSTS = "ouroboros.env", "git-hosts.toml"
SNAPSHOTS, PROTECTION = "snapshots", "protection"
_FORMAT = 1
_LARGEST_MANIFEST_BYTES = 1 << 16
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")
_TEXT = re.compile(r"[A-Za-z0-9.:+-]{1,40}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself. `revision` is that of the control plane's schema."""

    version: str
    revision: str
    made_at: str
    format: int = _FORMAT


@contextmanager
def new_archive(path: Path) -> Iterator[tarfile.TarFile]:
    """An archive that is at its place when the block ends without an error.

    Raises `file_exists`, `backup_failed`.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        number = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(number, "wb") as file:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
                yield archive
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # unlike a rename it never replaces another backup
    except FileExistsError as error:
        raise Refused("file_exists", f"{path} exists", "name another file") from error
    except OSError as error:
        raise Failed("backup_failed", f"{path}: {error.strerror}", "df -h") from error
    finally:
        draft.unlink(missing_ok=True)


def add_manifest(archive: tarfile.TarFile, manifest: Manifest, scratch: Path) -> None:
    """Write what the backup says of itself."""
    path = scratch / MANIFEST
    path.write_text(json.dumps(asdict(manifest)), encoding="utf-8")
    add_file(archive, path, MANIFEST)


def add_file(archive: tarfile.TarFile, path: Path, name: str) -> None:
    """Add one regular file; a link or a device is left out."""
    if path.is_file() and not path.is_symlink():
        archive.add(path, f"{_TOP}/{name}", recursive=False)


@contextmanager
def open_archive(path: Path) -> Iterator[tarfile.TarFile]:
    """An existing archive; raises `backup_not_found`, `not_a_backup`."""
    try:
        with tarfile.open(path, "r:gz") as archive:
            yield archive
    except FileNotFoundError as error:
        raise NotFound("backup_not_found", f"there is no {path}") from error
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BadInput("not_a_backup", f"{path}: {error}", "ouroboros backup FILE makes one") from (
            error
        )


def read_manifest(archive: tarfile.TarFile) -> Manifest:
    """What a backup says of itself; raises `not_a_backup`, `backup_too_new`."""
    try:
        member = archive.getmember(f"{_TOP}/{MANIFEST}")
        file = archive.extractfile(member)
        text = file.read(_LARGEST_MANIFEST_BYTES) if file is not None else b""
        manifest = _manifest(json.loads(text))
    except (KeyError, ValueError, TypeError) as error:
        raise BadInput("not_a_backup", f"its {MANIFEST} is not ours: {error}") from error
    if manifest.format > _FORMAT:
        raise Refused("backup_too_new", f"format {manifest.format} is of a later version",
                      f"restore it with Ouroboros {manifest.version}")  # fmt: skip
    return manifest


def extract(archive: tarfile.TarFile, name: str, target: Path) -> bool:
    """Write one member to a path of ours; whether there was one. Never over a file."""
    try:
        member = archive.getmember(f"{_TOP}/{name}")
    except KeyError:
        return False
    source = archive.extractfile(member)
    if source is None:
        return False
    draft = target.with_name(f".{target.name}.restoring")
    with draft.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        shutil.copyfileobj(source, file)
    try:
        os.link(draft, target)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    facts = target.parent.stat()
    if os.geteuid() == 0:
        os.chown(target, facts.st_uid, facts.st_gid)
    return True


def names_below(archive: tarfile.TarFile, directory: str) -> list[str]:
    """The plain names of files directly below a directory of the archive."""
    prefix = f"{_TOP}/{directory}/"
    names = [each.name.removeprefix(prefix) for each in archive.getmembers() if each.isfile()]
    return sorted(name for name in names if _FILE_NAME.fullmatch(name))


def _manifest(document: Mapping[str, Any]) -> Manifest:
    texts = {key: str(document[key]) for key in ("version", "revision", "made_at")}
    for key, text in texts.items():
        if not _TEXT.fullmatch(text):
            raise ValueError(key)
    return Manifest(**texts, format=int(document["format"]))
