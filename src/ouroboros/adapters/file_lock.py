"""A lock on a local file: one holder at a time; a process that dies gives it back."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive_file(path: Path) -> Iterator[None]:
    """Hold the lock for a block, waiting for it; the file stays, since another may hold it next."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
