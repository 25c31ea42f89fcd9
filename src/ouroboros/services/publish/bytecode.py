"""Bytecode: what Python has compiled of the installed packages is taken over from the live release.

Each release installs its packages anew, so that no release can change another's, and Python would
compile all of them anew at the start: most of the time of a start. The files of one lock file are
the same, down to their times (uv links them from its cache), so the bytecode fits; where it does
not, Python sees that and compiles again (the import system's reference, "Cached bytecode
invalidation"). Only the live release is asked: it is of the same lease.
"""

import contextlib
import os
from pathlib import Path

from ouroboros.adapters.application_files import read_lock_file
from ouroboros.adapters.release_files import open_directory_below
from ouroboros.domain.errors import BadInput

_LOCK = "uv.lock"
_CACHE = "__pycache__"


def take_over_bytecode(before: Path, after: Path, environment: str = ".venv") -> int:
    """Link the bytecode of one backend directory's environment into another's.

    Returns the number of files; none when the lock files differ or there is no environment. No
    link is followed in either; what is there already stays.
    """
    lock = read_lock_file(before / _LOCK)
    if lock is None or lock != read_lock_file(after / _LOCK):
        return 0
    count = 0
    with contextlib.ExitStack() as opened:
        try:
            source = open_directory_below(before, environment)
            opened.callback(os.close, source)
            target = open_directory_below(after, environment)
            opened.callback(os.close, target)
        except BadInput:
            return 0
        for directory, inside, _, descriptor in os.fwalk(".", dir_fd=source):
            if _CACHE in inside:
                inside.remove(_CACHE)
                with contextlib.suppress(OSError, BadInput):
                    count += _link(descriptor, target, directory)
    return count


def _link(source: int, target_root: int, directory: str) -> int:
    """Link the bytecode files of one directory; the target's path must be real directories."""
    with contextlib.ExitStack() as opened:

        def enter(name: str, below: int) -> int:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            descriptor = os.open(name, flags, dir_fd=below)
            opened.callback(os.close, descriptor)
            return descriptor

        target = target_root
        for part in Path(directory).parts:
            target = enter(part, target)
        with contextlib.suppress(FileExistsError):
            os.mkdir(_CACHE, dir_fd=target)
        from_cache, to_cache = enter(_CACHE, source), enter(_CACHE, target)
        count = 0
        with os.scandir(from_cache) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        for name in names:
            if name.endswith(".pyc"):
                with contextlib.suppress(OSError):
                    os.link(name, name, src_dir_fd=from_cache, dst_dir_fd=to_cache,
                            follow_symlinks=False)  # fmt: skip
                    count += 1
    return count
