"""Failpoints: named places at which a test can stop, kill or interrupt a process of ours.

They are apart from everything, because every layer passes through them. Nothing is armed unless
the process was started with `PREVIEW_FAILPOINTS`, or a test armed one in its own process; then a
call is one look into an empty dictionary. Names are written as `<workflow>.<place>`.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping

ENVIRONMENT_KEY = "PREVIEW_FAILPOINTS"
"""`name=action[,name=action…]` with the actions of `_ACTIONS`; read when the process starts."""


class FailpointReached(RuntimeError):
    """What the action `raise` raises: an error nothing in the house expects."""


def failpoint(name: str) -> None:
    """Do what is armed at this place, normally nothing."""
    action = _armed.get(name)
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


def _stop(_: str) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _raise(name: str) -> None:
    raise FailpointReached(name)


_ACTIONS: Mapping[str, Callable[[str], None]] = {"kill": _kill, "stop": _stop, "raise": _raise}


def _read(text: str) -> dict[str, Callable[[str], None]]:
    pairs = (item.partition("=") for item in text.split(",") if item)
    return {name: _ACTIONS[action] for name, _, action in pairs}


_armed: dict[str, Callable[[str], None]] = _read(os.environ.get(ENVIRONMENT_KEY, ""))
