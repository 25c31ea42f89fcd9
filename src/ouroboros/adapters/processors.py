"""Which processors are left to what visitors wait for (ADR 0032).

What a process is confined to is inherited by all it starts, so one process of an installation
divides them once, and only what serves visitors is let out.
"""

import contextlib
import os
import zlib
from collections.abc import Collection
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


def confine_with_us(postgres_pid: int) -> None:
    """Confine a process of PostgreSQL, which answers visitors too, to where we are confined.

    Nothing happens when it is not there, because the server is another machine's or user's.
    """
    ours = os.sched_getaffinity(0)
    if len(ours) == os.cpu_count():
        return
    with contextlib.suppress(OSError):
        if Path(f"/proc/{postgres_pid}/cmdline").read_bytes().startswith(b"postgres:"):
            os.sched_setaffinity(postgres_pid, ours)
