"""Which processors are left to what visitors wait for (ADR 0032).

What a process is confined to is inherited by all it starts, so one process of an installation
divides them once, and only what serves visitors is let out. Of PostgreSQL, which works and serves,
these are the sessions of slots.
"""

import contextlib
import os
import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

_OF_FOUR_FOR_VISITORS = 1


@dataclass(frozen=True, slots=True)
class Processors:
    """The numbers of the processors that may be used at all, and by what no visitor waits for."""

    serving: tuple[int, ...]
    working: tuple[int, ...]


def divide_processors(usable: Collection[int], name: str) -> Processors:
    """Leave a quarter of the processors to visitors alone, but at least one; of one, none.

    Which ones depends on the name, so that not all instances of a machine leave the same.
    """
    ring = sorted(usable)
    left = max(1, len(ring) * _OF_FOUR_FOR_VISITORS // 4) if len(ring) > 1 else 0
    first = zlib.crc32(name.encode()) % len(ring)
    return Processors(tuple(ring), tuple(sorted((ring[first:] + ring[:first])[left:])))


def confine_work(name: str) -> Processors:
    """Confine this process, and what it starts from now on, to the processors for work."""
    processors = divide_processors(os.sched_getaffinity(0), name)
    os.sched_setaffinity(0, processors.working)
    return processors


class SlotSessions:
    """PostgreSQL's sessions of slots: visitors wait for them, so they may use all processors.

    Whoever looks again and again lets a session out that is there at two looks running. So those of
    a migration or of a seed stay with the work, unless they take long.
    """

    def __init__(self, serving: Collection[int], roles: Iterable[str]) -> None:
        self._serving = tuple(serving)
        self._roles = frozenset(role.encode() for role in roles)
        self._seen: set[int] = set()
        self._settled: set[int] = set()

    def look(self, postmaster_pid: int) -> None:
        """Let out what has been there since the last look."""
        found = set(_children(postmaster_pid))
        settled = found & self._seen
        for pid in settled - self._settled:
            with contextlib.suppress(OSError):  # it has ended
                if self._is_of_slot(pid):
                    os.sched_setaffinity(pid, self._serving)
        self._seen, self._settled = found, settled

    def _is_of_slot(self, pid: int) -> bool:
        """Whether PostgreSQL calls it `postgres: ROLE DATABASE CLIENT STATE` with a slot's role."""
        title = Path(f"/proc/{pid}/cmdline").read_bytes().split()
        return len(title) > 1 and title[0] == b"postgres:" and title[1] in self._roles


def _children(pid: int) -> list[int]:
    """The children of a process's main thread; none when it, or the list, is not there."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
