#!/usr/bin/env python3
"""Make a git repository of one of the example applications, with the same commits every time.

    python3 examples/make_repository.py [--app NAME] TARGET_DIR

`toolshed` (the default) gets `main` and the run branches `codex/run-demo-page` and
`codex/run-demo-reservations`; the other applications get `main` alone. Only the Python standard
library and git are used. The commits are written by `git fast-import` from the files of this
directory with a fixed author and fixed dates, so their ids depend on nothing else: not on the
user's configuration, the machine, the time or the umask.

Running it again is harmless: a branch that is there already is left as it is. A directory that
holds anything other than a git repository is refused (exit status 2).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
IDENTITY = "Toolshed <toolshed@example.com>"
FIRST_COMMIT_AT = 1_777_626_000  # 2026-05-01T09:00:00Z
# What building and running leaves behind, and the seeds' maker, which is no part of the app.
NOT_SOURCE = frozenset(
    {"node_modules", "dist", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache", "seeds"}
)


@dataclass(frozen=True, slots=True)
class Branch:
    """A commit to make: the overlay's files put over those of `main`."""

    name: str
    message: str
    overlay: Path


APPS = {
    "toolshed": (
        Branch("main", "Lend tools to the neighbourhood\n", HERE / "toolshed"),
        Branch(
            "codex/run-demo-page",
            "Show the wall as a shadow board\n\nWhat is out leaves its shadow and a tag.\n",
            HERE / "toolshed-branches" / "page",
        ),
        Branch(
            "codex/run-demo-reservations",
            "Reserve tools that are out\n\nThe desk's pencilled wishes become reservations.\n",
            HERE / "toolshed-branches" / "reservations",
        ),
    ),
    "static-site": (Branch("main", "Say when the shed is open\n", HERE / "static-site"),),
    "api-alone": (Branch("main", "Tell the phase of the moon\n", HERE / "api-alone"),),
    "node-api": (Branch("main", "Count what is said\n", HERE / "node-api"),),
}


class Refused(Exception):
    """The target cannot be used; the message says why."""


def make_repository(target: Path, app: str) -> dict[str, str]:
    """Make or complete the repository at `target`; return the commit id of each branch.

    Branches that exist are kept. Raises Refused for a directory that is in use for something
    else, and subprocess.CalledProcessError when git fails.
    """
    branches = APPS[app]
    _prepare(target)
    existing = _branches(target)
    missing = [branch for branch in branches if branch.name not in existing]
    if missing:
        _git(target, "fast-import", "--quiet", stdin=b"".join(_stream(branches, existing)))
    if "main" not in existing:
        _git(target, "reset", "--quiet", "--hard", "refs/heads/main")
    return {branch.name: _branches(target)[branch.name] for branch in branches}


def _prepare(target: Path) -> None:
    if (target / ".git").is_dir():
        return
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Refused(f"{target} is not empty and is not a git repository")
    target.mkdir(parents=True, exist_ok=True)
    _git(target, "init", "--quiet", "--template=", "--initial-branch=main", "--object-format=sha1")


def _branches(target: Path) -> dict[str, str]:
    listed = _git(
        target, "for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads"
    )
    return dict(line.split(" ") for line in listed.decode().splitlines())


def _stream(branches: tuple[Branch, ...], existing: dict[str, str]) -> Iterator[bytes]:
    """Write the commits in git-fast-import's format (git-fast-import(1), "Input Format").

    Every commit is sent as its first branch would have it, so one that is missing gets the id it
    always had, whatever has been added to the others since.
    """
    main = branches[0]
    yield from _commit(main, 1, None)
    if main.name not in existing:
        yield _reference(main.name, 1)
    for mark, branch in enumerate(branches[1:], start=2):
        if branch.name not in existing:
            yield from _commit(branch, mark, 1)
            yield _reference(branch.name, mark)
    yield b"reset refs/toolshed/made\nfrom 0000000000000000000000000000000000000000\n\n"


def _commit(branch: Branch, mark: int, parent: int | None) -> Iterator[bytes]:
    stamp = f"{IDENTITY} {FIRST_COMMIT_AT + (mark - 1) * 3600} +0000"
    yield f"commit refs/toolshed/made\nmark :{mark}\nauthor {stamp}\ncommitter {stamp}\n".encode()
    yield _data(branch.message.encode())
    yield f"from :{parent}\n".encode() if parent else b""
    for path in _source_files(branch.overlay):
        name = path.relative_to(branch.overlay).as_posix()
        yield f"M 100644 inline {name}\n".encode() + _data(path.read_bytes())
    yield b"\n"


def _reference(name: str, mark: int) -> bytes:
    return f"reset refs/heads/{name}\nfrom :{mark}\n\n".encode()


def _data(content: bytes) -> bytes:
    return b"data %d\n%b\n" % (len(content), content)


def _source_files(directory: Path) -> list[Path]:
    found = []
    for folder, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if name not in NOT_SOURCE]
        found += [Path(folder, name) for name in names if not name.endswith(".pyc")]
    return sorted(found)


def _git(target: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    """Run git without the user's configuration, hooks or variables."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_")
    } | {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "LC_ALL": "C"}
    return subprocess.run(
        ["git", "-C", str(target), *arguments],
        input=stdin,
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout


def main() -> int:
    """Parse the command line, make the repository and print a branch and its commit a line."""
    parser = argparse.ArgumentParser(description="Make a git repository of an example application.")
    parser.add_argument("target", type=Path, metavar="TARGET_DIR")
    parser.add_argument("--app", choices=sorted(APPS), default="toolshed")
    options = parser.parse_args()
    try:
        made = make_repository(options.target, options.app)
    except Refused as refusal:
        sys.stderr.write(f"make_repository: {refusal}\n")
        return 2
    for name, commit in made.items():
        sys.stdout.write(f"{commit} {name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
