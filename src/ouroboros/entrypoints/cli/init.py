"""`ouroboros init`: a first preview.toml for a repository, by looking at it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ouroboros.domain.application import FILE_NAME, parse_application
from ouroboros.domain.errors import BadInput, NotFound, Refused
from ouroboros.entrypoints.cli.lease import DryRun
from ouroboros.entrypoints.cli.output import Document, answer
from ouroboros.plans.proposal import Tree, propose

_SKIPPED = {"node_modules", ".git", ".venv", "venv", "__pycache__", ".ouroboros", "target"}
_READ = ("package.json", "pyproject.toml")
_DEEPEST = 4
_MOST_FILES = 20_000
_LARGEST_BYTES = 128 * 1024


def init(
    directory: Annotated[Path, typer.Argument(help="the repository")] = Path(),
    dry_run: DryRun = False,
    force: Annotated[bool, typer.Option("--force", help="replace one that is there")] = False,
) -> None:
    """Write a preview.toml for a repository by looking at it; says what it saw."""
    if not directory.is_dir():
        raise NotFound("directory_not_found", f"there is no directory {directory}")
    target = directory / FILE_NAME
    if target.exists() and not (force or dry_run):
        raise Refused("file_exists", f"{target} is there already", "--force replaces it")
    proposal = propose(read_tree(directory))
    if proposal is None:
        raise BadInput(
            "nothing_recognised",
            "there is neither a package.json with a script `build` or `start`, nor a page, nor a "
            "Python application that is known",
            "write one by hand: docs/preview-toml.md",
        )
    text = proposal.text()
    parse_application(text)
    if not dry_run:
        target.write_text(text, encoding="utf-8")
    document = {"file": str(target), "dry_run": dry_run, "text": text, "reasons": proposal.reasons}
    answer("init", document, _told)


def read_tree(directory: Path) -> Tree:
    """Look at a repository: four directories deep, no link followed, no large file read."""
    paths: set[str] = set()
    texts: dict[str, str] = {}
    for place, inner, names in os.walk(directory):
        relative = Path(place).relative_to(directory)
        deep = len(relative.parts) >= _DEEPEST
        inner[:] = [] if deep else sorted(name for name in inner if name not in _SKIPPED)
        for name in sorted(names):
            path = Path(place) / name
            if path.is_symlink() or len(paths) >= _MOST_FILES:
                continue
            known = (relative / name).as_posix()
            paths.add(known)
            worth = name in _READ or name.endswith(".py")
            if worth and path.is_file() and path.stat().st_size <= _LARGEST_BYTES:
                texts[known] = path.read_text(encoding="utf-8", errors="replace")
    return Tree(frozenset(paths), texts)


def _told(document: Document) -> str:
    seen = "\n".join(f"- {reason}" for reason in document["reasons"])
    done = "Would write" if document["dry_run"] else "Wrote"
    return f"{document['text']}\nSaw:\n{seen}\n\n{done} {document['file']}. Read it, and commit it."


COMMANDS = {"init": init}
