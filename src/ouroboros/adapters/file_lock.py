"""A lock on a local file: one holder at a time; a process that dies gives it back."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

_POLL_S = 0.05


@contextmanager
def exclusive_file(path: Path, look: Callable[[], object]) -> Iterator[None]:
    """Hold the lock for a block; the file stays, since another may hold it next.

    Waits for it, and calls `look` now and then meanwhile, which may raise to wait no longer.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        while not _try_lock(file):
            look()
            time.sleep(_POLL_S)
        yield


def _try_lock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
