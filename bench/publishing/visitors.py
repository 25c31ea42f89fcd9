"""Visitors of a slot for the time of a measurement, each in a process of their own."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Visitors = subprocess.Popen[str]


@contextlib.contextmanager
def visiting(port: int, host: str, clients: int, *paths: str) -> Iterator[Visitors]:
    """Visitors of the given paths; each waits 20 ms between its requests."""
    program = str(Path(__file__).with_name("visit.py"))
    argv = (sys.executable, program, str(port), host, str(clients), "0.02", *paths)
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def begin(name: str, *visitors: Visitors) -> None:
    """Begin a stretch of time that is told apart; its name is one word."""
    for each in visitors:
        assert each.stdin is not None
        each.stdin.write(f"begin {name}\n")
        each.stdin.flush()


def tell(visitors: Visitors) -> dict[str, Any]:
    """End the visits; returns `times_ms` and `failed`, each by the name of the stretch."""
    return json.loads(visitors.communicate("end\n")[0])
