"""Ports for tests that run at the same time: a block is held by a lock until its process ends.

Asking the kernel for a free port is not enough where a server is started later: two test
processes would be given the same one.
"""

import fcntl
import random
import socket
import tempfile
from pathlib import Path

BLOCK = 30
_FIRST, _LAST = 20000, 31970  # below what the kernel gives to connections
_DIRECTORY = Path(tempfile.gettempdir()) / "ouroboros-test-ports"
_held = []


def reserve_ports() -> int:
    """The first of `BLOCK` neighbouring ports that are free, and nobody else's from now on."""
    _DIRECTORY.mkdir(mode=0o777, exist_ok=True)
    bases = list(range(_FIRST, _LAST, BLOCK))
    random.shuffle(bases)
    for base in bases:
        lock = (_DIRECTORY / str(base)).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for port in range(base, base + BLOCK):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        _held.append(lock)
        return base
    raise RuntimeError("no block of ports is free")
