"""Failpoints: named places at which a test can stop, kill or interrupt a process of ours.

They are apart from everything, because every layer passes through them. Nothing is armed unless
the process was started with `PREVIEW_FAILPOINTS`, or a test armed one in its own process; then a
call is one look into an empty dictionary. Names are written as `<workflow>.<place>`.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

ENVIRONMENT_KEY = "PREVIEW_FAILPOINTS"
"""`name=action[,name=action…]` with the actions of `_ACTIONS`; read when the process starts."""


FILE_KEY = "PREVIEW_FAILPOINTS_FILE"
"""Names a file with one `name=action` that is looked for at every place, acted on once and then
removed: so a test can arm places of a running instance, one after the other."""


class FailpointReached(RuntimeError):
    """What the action `raise` raises: an error nothing in the house expects."""


def failpoint(name: str) -> None:
    """Do what is armed at this place, normally nothing."""
    action = _armed.get(name)
    if action is None and _FILE is not None:
        action = _take_from_file(_FILE, name)
    if action is not None:
        action(name)


@contextlib.contextmanager
def armed(name: str, action: Callable[[str], None]) -> Iterator[None]:
    """Arm a place in this process for the time of a block; for tests."""
    before = _armed.get(name)
    _armed[name] = action
    try:
        yield
    finally:
        if before is None:
            del _armed[name]
        else:
            _armed[name] = before


def _kill(_: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stop_here(_: str) -> None:
    """Stop this process at this very place.

    A signal to the process is another thread's to take, and this one would go on until it has.
    """
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def _raise(name: str) -> None:
    raise FailpointReached(name)


_ACTIONS: Mapping[str, Callable[[str], None]] = {"kill": _kill, "stop": stop_here, "raise": _raise}


def _read(text: str) -> dict[str, Callable[[str], None]]:
    pairs = (item.partition("=") for item in text.split(",") if item)
    return {name: _ACTIONS[action] for name, _, action in pairs}


def _take_from_file(path: Path, name: str) -> Callable[[str], None] | None:
    try:
        listed = _read(path.read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        return None
    if name in listed:
        path.unlink()
    return listed.get(name)


_FILE = Path(os.environ[FILE_KEY]) if FILE_KEY in os.environ else None
_armed: dict[str, Callable[[str], None]] = _read(os.environ.get(ENVIRONMENT_KEY, ""))
