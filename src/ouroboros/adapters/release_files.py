"""Release directories: copying built files safely, and writing what a release was made from.

Build output comes from branch code. Only regular files with one link are copied, no symlink is
followed at any depth, and the copy happens after the build has ended, so nothing outside the
output can be carried into the web root (FACTS: copytree copied the target of a symlink).
"""

import json
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ouroboros.domain.errors import Failed

RELEASE_FILE = "release.json"


def copy_built_files(source: Path, target: Path) -> tuple[int, int]:
    """Copy a build's output; returns the number of files and bytes.

    Raises `unsafe_build_output` naming the first path that is no regular file or directory, and
    `build_output_missing`. An older `target` is replaced.
    """
    try:
        top = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise Failed(
            "build_output_missing",
            f"the build left no directory {source.name!r} ({error.strerror})",
            "check [frontend] output in preview.toml",
        ) from error
    remove_tree(target)
    target.mkdir(parents=True)
    files = size = 0
    try:
        for directory, _, names, descriptor in os.fwalk(".", dir_fd=top, follow_symlinks=False):
            _refuse_linked_directories(directory, descriptor)
            inside = target / directory
            inside.mkdir(exist_ok=True)
            for name in names:
                size += _copy_file(Path(directory) / name, name, descriptor, inside / name)
                files += 1
    finally:
        os.close(top)
    return files, size


def write_release(release: Path, document: Mapping[str, Any]) -> None:
    """Write `release.json` whole or not at all."""
    draft = release / f".{RELEASE_FILE}"
    draft.write_text(json.dumps(document, indent=2, default=str), encoding="utf-8")
    draft.replace(release / RELEASE_FILE)


def read_release(release: Path) -> dict[str, Any]:
    """The document of a release; raises `release_damaged`."""
    try:
        document = json.loads((release / RELEASE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Failed(
            "release_damaged", f"{release.name} has no readable {RELEASE_FILE}", "publish again"
        ) from error
    if not isinstance(document, dict):
        raise Failed("release_damaged", f"{RELEASE_FILE} of {release.name} is no object")
    return document


def remove_tree(path: Path) -> None:
    """Remove a directory and what is in it, without following links; may be repeated."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def _refuse_linked_directories(directory: str, descriptor: int) -> None:
    with os.scandir(descriptor) as entries:
        for entry in entries:
            mode = entry.stat(follow_symlinks=False).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise _unsafe(Path(directory) / entry.name, "is a link or special file")


def _copy_file(shown: Path, name: str, descriptor: int, target: Path) -> int:
    try:
        source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=descriptor)
    except OSError as error:
        raise _unsafe(shown, f"cannot be read ({error.strerror})") from error
    with os.fdopen(source, "rb") as reading:
        facts = os.fstat(reading.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise _unsafe(shown, "is not a regular file")
        if facts.st_nlink != 1:
            raise _unsafe(shown, "has a second hard link")
        with target.open("xb") as writing:
            shutil.copyfileobj(reading, writing, 1 << 20)
    return facts.st_size


def _unsafe(path: Path, problem: str) -> Failed:
    return Failed(
        "unsafe_build_output",
        f"{path} in the build output {problem}",
        "let the build write regular files only",
    )
