"""Removing trees that branch code made: as deep as they may be, without following a link.

`shutil.rmtree` of Python 3.11 keeps a descriptor for each level and calls itself, so a thousand
directories inside each other, which any build can make, stop it. Here what is inside a directory
is moved up first: two descriptors, whatever the depth.
"""

import os
import stat
import uuid
from pathlib import Path

MOST_LEVELS = 200
"""Directories inside each other that we follow; only who wants to be in the way makes more."""
NO_FOLLOW = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_directory(path: Path) -> None:
    """Remove a directory with all that is in it. Raises OSError for what cannot be removed."""
    empty_directory(path)
    path.rmdir()


def empty_directory(path: Path) -> None:
    """Remove all that is in a directory; the directory stays as it is."""
    top = os.open(path, NO_FOLLOW)
    try:
        empty_open_directory(top)
    finally:
        os.close(top)


def empty_open_directory(top: int) -> None:
    """The same for a directory that is open."""
    while names := os.listdir(top):
        for name in names:
            if not _is_directory(name, top):
                os.unlink(name, dir_fd=top)
                continue
            inside = os.open(name, NO_FOLLOW, dir_fd=top)
            try:
                _move_up(inside, top)
            finally:
                os.close(inside)
            os.rmdir(name, dir_fd=top)


def is_too_deep(shown: str | os.PathLike[str]) -> bool:
    """Whether a relative path has more levels than we follow."""
    return os.fspath(shown).count("/") > MOST_LEVELS


def _move_up(directory: int, top: int) -> None:
    """Remove the files of a directory and give its directories new names in `top`."""
    for name in os.listdir(directory):
        if _is_directory(name, directory):
            os.rename(name, f".up-{uuid.uuid4().hex}", src_dir_fd=directory, dst_dir_fd=top)
        else:
            os.unlink(name, dir_fd=directory)


def _is_directory(name: str, directory: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
