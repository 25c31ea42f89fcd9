"""Release directories: copying built files safely, and writing what a release was made from.

Build output comes from branch code. Only regular files with one link are copied, no symlink is
followed at any depth, and the copy happens after the build has ended, so nothing outside the
output can be carried into the web root (FACTS: copytree copied the target of a symlink).
"""

import hashlib
import json
import os
import shutil
import stat
import uuid
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ouroboros.adapters.trees import is_too_deep, remove_directory
from ouroboros.domain.errors import BadInput, Failed

RELEASE_FILE = "release.json"


def copy_built_files(
    root: Path, relative: str, target: Path, *, executable: bool = False
) -> tuple[int, int]:
    """Copy a build's output, `relative` below `root`; returns the number of files and bytes.

    With `executable` what its owner may execute stays so; nothing else of the modes is kept.
    Raises `unsafe_build_output` naming the first path that is no regular file or directory, and
    `build_output_missing`. An older `target` is replaced.
    """
    try:
        top = open_directory_below(root, relative)
    except BadInput as error:
        raise Failed(
            "build_output_missing",
            f"the build left no directory {relative!r}",
            "check [frontend] output in preview.toml",
        ) from error
    remove_tree(target)
    target.mkdir(parents=True)
    files = size = 0
    try:
        for directory, _, names, descriptor in os.fwalk(".", dir_fd=top, follow_symlinks=False):
            if is_too_deep(directory):
                raise _unsafe(Path(directory[:60]), "is too deep")
            _refuse_linked_directories(directory, descriptor)
            inside = target / directory
            inside.mkdir(exist_ok=True)
            for name in names:
                shown = Path(directory) / name
                size += _copy_file(shown, name, descriptor, inside / name, executable)
                files += 1
    finally:
        os.close(top)
    return files, size


def open_directory_below(root: Path, relative: str) -> int:
    """Open a directory of branch files without following a link in any part of its path.

    Returns a descriptor to close. Raises `directory_not_found`.
    """
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for part in PurePosixPath(relative).parts:
        try:
            inside = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
        except OSError as error:
            raise BadInput(
                "directory_not_found",
                f"{relative!r} is no directory of the repository ({error.strerror})",
                "check the directories in preview.toml; links are not followed",
            ) from error
        finally:
            os.close(descriptor)
        descriptor = inside
    return descriptor


def digest_files(root: Path) -> dict[str, str]:
    """The SHA-256 of every regular file below a directory, by relative path; links are skipped."""
    found = {}
    for directory, _, names, descriptor in os.fwalk(root, follow_symlinks=False):
        for name in names:
            try:
                number = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK,
                                 dir_fd=descriptor)  # fmt: skip
            except OSError:
                continue
            with os.fdopen(number, "rb") as file:
                if stat.S_ISREG(os.fstat(number).st_mode):
                    relative = (Path(directory) / name).relative_to(root).as_posix()
                    found[relative] = hashlib.file_digest(file, "sha256").hexdigest()
    return dict(sorted(found.items()))


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
    """Remove a directory and what is in it, without following links; may be repeated.

    It is renamed away first, so nobody ever finds half of it, and two may remove it at once.
    """
    gone = path
    if not path.name.startswith(".gone-"):
        gone = path.with_name(f".gone-{uuid.uuid4().hex}")
        try:
            path.rename(gone)
        except FileNotFoundError:
            return
    if gone.is_dir() and not gone.is_symlink():
        remove_directory(gone)
    else:
        gone.unlink()


def _refuse_linked_directories(directory: str, descriptor: int) -> None:
    with os.scandir(descriptor) as entries:
        for entry in entries:
            mode = entry.stat(follow_symlinks=False).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise _unsafe(Path(directory) / entry.name, "is a link or special file")


def _copy_file(shown: Path, name: str, descriptor: int, target: Path, executable: bool) -> int:
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
            if executable and facts.st_mode & stat.S_IXUSR:
                os.fchmod(writing.fileno(), 0o755)
    return facts.st_size


def _unsafe(path: Path, problem: str) -> Failed:
    # A name may hold line ends and colours, and pass for something that we say.
    shown = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(path)
    )
    return Failed(
        "unsafe_build_output",
        f"{shown} in the build output {problem}",
        "let the build write regular files only",
    )
