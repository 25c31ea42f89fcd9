"""The caches in which a slot's npm and uv keep what they fetched: measured, and emptied.

Branch code wrote what is in them, so no link is followed; the directory around them is not its.
"""

import contextlib
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

from ouroboros.adapters.trees import is_too_deep, remove_directory

_TOOLS = ("npm", "uv")


def measure(directory: Path) -> int:
    """The bytes on disk of what is below a directory; a file with many names counts once."""
    seen: dict[tuple[int, int], int] = {}
    for shown, names, files, descriptor in os.fwalk(directory, follow_symlinks=False):
        if is_too_deep(shown):
            names.clear()
        for name in (*names, *files):
            try:
                facts = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except FileNotFoundError:
                continue
            seen[facts.st_dev, facts.st_ino] = facts.st_blocks * 512
    return sum(seen.values())


def set_aside_if_over(cache: Path, limit_bytes: int) -> tuple[int, list[Path]]:
    """Empty the caches of the tools if they hold more together than the limit.

    Returns the bytes that this frees, and the directories to hand to `remove_aside`: an emptied
    cache is there at once, as whose it was and with its mode, and removing takes its time.
    """
    aside = list(_aside(cache))
    held = [cache / tool for tool in _TOOLS if (cache / tool).is_dir()]
    sizes_bytes = sum(map(measure, held))
    if sizes_bytes <= limit_bytes:
        return 0, aside
    for directory in held:
        facts = directory.stat()
        gone = cache / f".gone-{uuid.uuid4().hex}"
        directory.rename(gone)
        directory.mkdir()
        os.chown(directory, facts.st_uid, facts.st_gid)
        directory.chmod(stat.S_IMODE(facts.st_mode))
        aside.append(gone)
    return sizes_bytes, aside


def remove_aside(directories: list[Path]) -> None:
    """Remove what was set aside; may be repeated."""
    for directory in directories:
        with contextlib.suppress(OSError):
            remove_directory(directory)


def _aside(cache: Path) -> Iterator[Path]:
    """What an earlier process set aside and did not live to remove."""
    if cache.is_dir():
        yield from (path for path in cache.iterdir() if path.name.startswith(".gone-"))
