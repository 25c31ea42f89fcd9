"""Leftovers: finds and ends the processes that outlived whoever started them.

Decides by which mark a process is known to belong to one state directory. It is apart from
`processes`, because it needs no handle on what it ends: it works from the process table alone,
after everything that held a handle was killed.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from secrets import token_hex
from signal import SIGKILL

from ouroboros.adapters import guard

MARKER = "PREVIEW_INSTANCE"
"""The variable by which the processes of one state directory are found after a crash."""


def instance_id(state_dir: Path) -> str:
    """The mark of a state directory: the same at every start, different for every directory."""
    return hashlib.sha256(os.fsencode(state_dir.resolve())).hexdigest()[:16]


def make_marker(instance: str) -> str:
    """A marker value for one process of an instance."""
    return f"{instance}:{token_hex(6)}"


def read_marker(pid: int) -> str | None:
    """The marker in a process's environment, or None."""
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    for entry in environ.split(b"\0"):
        name, _, value = entry.partition(b"=")
        if name == MARKER.encode():
            return value.decode("utf-8", "replace")
    return None


def is_marked(entry: guard.ProcessEntry, instance: str) -> bool:
    """Whether a process carries the mark of an instance."""
    return (read_marker(entry.pid) or "").partition(":")[0] == instance


def list_marked(instance: str) -> list[guard.ProcessEntry]:
    """Every process of an instance, except this process and those above it."""
    return list_left(lambda entry: is_marked(entry, instance))


def list_left(is_ours: Callable[[guard.ProcessEntry], bool]) -> list[guard.ProcessEntry]:
    """Every live process that `is_ours` claims, except this process and those above it."""
    spared = _list_own_ancestry()
    return [
        entry
        for entry in guard.list_processes()
        if entry.pid not in spared and entry.state not in "ZX" and is_ours(entry)
    ]


def is_guard(entry: guard.ProcessEntry) -> bool:
    """Whether a process is one of our guards, which ends what it guards by itself."""
    try:
        argv = Path(f"/proc/{entry.pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(guard.__file__) in argv


def end_processes(
    is_ours: Callable[[guard.ProcessEntry], bool], time_limit_s: float = 10.0
) -> list[int]:
    """Kill every process that `is_ours` claims, until none is left.

    Returns the pids that could not be ended within the limit. This process and those above it
    are spared.
    """
    deadline = time.monotonic() + time_limit_s
    while True:
        found = list_left(is_ours)
        if not found or time.monotonic() > deadline:
            return [entry.pid for entry in found]
        for entry in found:
            guard.send_signal(entry, SIGKILL)
        time.sleep(0.01)


def _list_own_ancestry() -> set[int]:
    pids = {0}
    pid = os.getpid()
    while pid not in pids:
        pids.add(pid)
        entry = guard.read_process(pid)
        pid = 0 if entry is None else entry.parent
    return pids


def end_adopted(known: Collection[int]) -> None:
    """End the children of this process that it did not start, and all below them.

    A subreaper inherits them when one of its guards was killed. `known` are the pids it started.
    """
    while True:
        strangers = [
            entry
            for entry in guard.list_processes()
            if entry.parent == os.getpid() and entry.pid not in known
        ]
        if not strangers:
            return
        for stranger in strangers:
            for entry in (stranger, *guard.list_descendants(stranger.pid)):
                guard.send_signal(entry, SIGKILL)
        for stranger in strangers:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(stranger.pid, 0)
