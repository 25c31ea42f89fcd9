"""Failpoints: named instants at which a test can end or freeze the process that reaches them.

Off unless `PREVIEW_FAILPOINTS` is set when the process starts; then a point costs one look-up in
a dictionary. Its value lists `name=action`, separated by commas: `kill` ends the process as
SIGKILL does, `stop` freezes it as SIGSTOP does, `raise` raises `OSError`. With `#n` after the
action it acts the n-th time the point is reached. With a directory in `PREVIEW_FAILPOINTS_ONCE`
each point acts once, however often the process is started again.
"""

import os
import signal
from pathlib import Path

_VARIABLE = "PREVIEW_FAILPOINTS"
_ONCE_VARIABLE = "PREVIEW_FAILPOINTS_ONCE"

_armed: dict[str, tuple[str, int]] = {}
_reached: dict[str, int] = {}


def arm(text: str) -> None:
    """Arm the points listed in `text`; an empty text disarms all."""
    _armed.clear()
    _reached.clear()
    for item in filter(None, text.split(",")):
        name, _, action = item.partition("=")
        action, _, at = action.partition("#")
        _armed[name] = (action or "kill", int(at or 1))


def failpoint(name: str) -> None:
    """Act when the point is armed; else do nothing."""
    if not _armed or name not in _armed:
        return
    action, at = _armed[name]
    _reached[name] = _reached.get(name, 0) + 1
    if _reached[name] != at or _has_acted(name):
        return
    if action == "raise":
        raise OSError(f"failpoint {name}")
    os.kill(os.getpid(), signal.SIGSTOP if action == "stop" else signal.SIGKILL)


def _has_acted(name: str) -> bool:
    """Whether a point that acts once has acted, in this process or in one before it."""
    directory = os.environ.get(_ONCE_VARIABLE)
    if directory is None:
        return False
    mark = Path(directory) / name
    if mark.exists():
        return True
    mark.touch()
    return False


arm(os.environ.get(_VARIABLE, ""))
