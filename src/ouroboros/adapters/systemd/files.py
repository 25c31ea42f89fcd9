"""What the steward writes for PID 1 to read, and giving a slot's files away and taking them back.

The steward is root and the trees were made by branch code, so every directory is opened without
following a link, and whatever is in it is changed by its descriptor and never by its path.
"""

import contextlib
import grp
import json
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ouroboros.adapters.release_files import open_directory_below
from ouroboros.adapters.trees import MOST_LEVELS, NO_FOLLOW, empty_open_directory
from ouroboros.domain.errors import BadInput, Failed

_LOG_LIMIT_BYTES = 10 * 1024 * 1024
MOST_ENVIRONMENT = 120_000
"""Bytes of what a branch wishes to have in its environment; one variable holds 128 KiB."""
_OWNER_MAY_ALL = 0o700


def write_private(path: Path, text: str) -> None:
    """Write a file that only root may read, whole or not at all."""
    draft = path.with_name(f".{path.name}.next")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def begin_log(path: Path, reader: str) -> None:
    """Make a backend's log, which `reader`'s group may read; one that has grown becomes `.1`."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > _LOG_LIMIT_BYTES:
            path.replace(f"{path}.1")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o640)
    try:
        os.fchown(descriptor, 0, grp.getgrnam(reader).gr_gid)
        os.fchmod(descriptor, 0o640)
    finally:
        os.close(descriptor)


def read_document(path: Path) -> dict[str, Any] | None:
    """A JSON document that `write_private` wrote; None when there is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def environment_file(values: Mapping[str, str]) -> str:
    """An EnvironmentFile= (systemd.exec(5)) that brings any text through unchanged.

    Raises `bad_environment` for what cannot be in an environment or in that file.
    """
    lines = []
    for name, value in values.items():
        _require_variable(name, value)
        quoted = "".join(f"\\{letter}" if letter in '"\\`$' else letter for letter in value)
        lines.append(f'{name}="{quoted}"\n')
    return "".join(lines)


def launch_environment(
    argv: Sequence[str], directory: Path, listen: str, env: Mapping[str, str]
) -> dict[str, str]:
    """What adapters/launchers/unit.py is told to run, in variables of ours alone.

    What a branch wishes to have in its environment is one value: under their own names systemctl
    and others that a unit runs as root would heed its variables. Raises `bad_environment` for more
    than one variable can hold (execve(2)), and for what is no variable.
    """
    for name, value in env.items():
        _require_variable(name, value)
    wished = json.dumps(dict(env))
    if len(wished) > MOST_ENVIRONMENT:
        raise BadInput(
            "bad_environment",
            f"the environment is {len(wished)} bytes, {MOST_ENVIRONMENT} are possible",
            "put what is large into a file",
        )
    return {
        "BACKEND_ARGV": json.dumps(list(argv)),
        "BACKEND_DIRECTORY": str(directory),
        "BACKEND_LISTEN": listen,
        "BACKEND_ENV": wished,
    }


def _require_variable(name: str, value: str) -> None:
    plain = name.isascii() and name.isidentifier()
    if not plain or any(ord(letter) < 32 and letter not in "\t\n" for letter in value):
        raise BadInput("bad_environment", f"{name[:60]!r} cannot stand in an environment")


def hand_over(root: Path, relative: str, uid: int, gid: int, *, private: bool) -> None:
    """Make a tree below `root` somebody's own, without following a link in it.

    With `private` only the owner may write and the group may read, whatever modes its maker
    left, and what lies deeper than `MOST_LEVELS` is removed; set-id bits go in any case
    (chown(2)). Raises `directory_not_found`, and without `private` `tree_too_deep`.
    """
    top = open_directory_below(root, relative)
    try:
        _hand_over(top, uid, gid, private, MOST_LEVELS)
    finally:
        os.close(top)


def _hand_over(directory: int, uid: int, gid: int, private: bool, levels: int) -> None:
    """The directory first, so that nobody else can add to it while it is walked."""
    _give(directory, uid, gid, private)
    if not levels:
        _end_of_depth(directory, private)
    with os.scandir(directory) as entries:
        for entry in entries:
            facts = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(facts.st_mode):
                inside = os.open(entry.name, NO_FOLLOW, dir_fd=directory)
                try:
                    _hand_over(inside, uid, gid, private, levels - 1)
                finally:
                    os.close(inside)
            elif stat.S_ISREG(facts.st_mode):
                inside = os.open(
                    entry.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory
                )
                try:
                    _give(inside, uid, gid, private)
                finally:
                    os.close(inside)
            else:
                os.chown(entry.name, uid, gid, dir_fd=directory, follow_symlinks=False)


def _end_of_depth(directory: int, private: bool) -> None:
    if private:
        empty_open_directory(directory)
    elif os.listdir(directory):
        raise Failed(
            "tree_too_deep",
            f"the repository has more than {MOST_LEVELS} directories inside each other",
            "commit a flatter tree",
        )


def _give(descriptor: int, uid: int, gid: int, private: bool) -> None:
    facts = os.fstat(descriptor)
    if stat.S_ISREG(facts.st_mode) and facts.st_nlink != 1:
        # A second name may lie outside the tree, in the slot's cache: that file stays what it is.
        return
    if (facts.st_uid, facts.st_gid) != (uid, gid):
        os.fchown(descriptor, uid, gid)
    mode = stat.S_IMODE(facts.st_mode) & 0o777 | _OWNER_MAY_ALL & (
        0o700 if stat.S_ISDIR(facts.st_mode) else 0o600
    )
    if private:
        mode = mode & _OWNER_MAY_ALL | (mode & 0o500) >> 3
    if mode != stat.S_IMODE(facts.st_mode):
        os.fchmod(descriptor, mode)
