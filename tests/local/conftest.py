"""Instances over stub services, each with a state directory and ports of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from tests.ports import reserve_ports

from ouroboros.adapters.guard import list_descendants
from ouroboros.adapters.leftovers import instance_id, list_marked
from ouroboros.adapters.supervisor_client import SupervisorClient, read_error
from ouroboros.entrypoints.cli.instance import bring_down
from ouroboros.settings import Settings, read_settings

STUB_HOUSE = Path(__file__).with_name("stub_house.py")


def until(condition: Callable[[], Any], time_limit_s: float = 10.0) -> Any:
    """Wait until a condition holds; it is asked every 10 ms."""
    deadline = time.monotonic() + time_limit_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)
    return value


def affinities(pid: int | None) -> dict[int, set[int]]:
    """The processors that each thread of a process, and of what it has started, may run on."""
    assert pid is not None
    found = {}
    for each in (pid, *(entry.pid for entry in list_descendants(pid))):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            for path in Path(f"/proc/{each}/task").iterdir():
                found[int(path.name)] = os.sched_getaffinity(int(path.name))
    return found


class House:
    """A supervisor process over stub services."""

    def __init__(self, state_dir: Path) -> None:
        first = reserve_ports()
        self.environ = {
            "PATH": os.environ["PATH"],
            "OUROBOROS_STATE_DIR": str(state_dir),
            "OUROBOROS_API_PORT": str(first),
            "OUROBOROS_WEB_PORT_BASE": str(first),
            "OUROBOROS_API_PORT_BASE": str(first + 3),
        }
        self.settings: Settings = read_settings(self.environ)
        self.client = SupervisorClient(self.settings, 30)
        self.processes: list[subprocess.Popen[bytes]] = []

    def argv(self, services: list[dict[str, Any]]) -> tuple[str, ...]:
        return (sys.executable, str(STUB_HOUSE), "{fd}", json.dumps(services))

    def up(self, *services: dict[str, Any]) -> dict[str, Any]:
        """Start it, wait for its word; raises the error it tells."""
        read, written = os.pipe()
        argv = [item.replace("{fd}", str(written)) for item in self.argv(list(services))]
        process = subprocess.Popen(
            argv, env=self.environ, pass_fds=(written,), start_new_session=True
        )
        self.processes.append(process)
        os.close(written)
        with os.fdopen(read) as said:
            for line in said:
                document = json.loads(line)
                if "progress" not in document:
                    if not document["ok"]:
                        process.wait(10)
                        raise read_error(document)
                    return document
        raise AssertionError(f"the supervisor ended with {process.wait(10)} and said nothing")

    def status(self) -> dict[str, Any]:
        return self.client.call({"do": "status"})

    def service(self, name: str) -> dict[str, Any]:
        return next(item for item in self.status()["services"] if item["name"] == name)

    def kill(self) -> None:
        """kill -9 of the supervisor."""
        self.processes[-1].kill()
        self.processes[-1].wait()

    def end(self, number: int = signal.SIGTERM) -> int:
        self.processes[-1].send_signal(number)
        return self.processes[-1].wait(30)

    def list_processes(self) -> list[int]:
        return [entry.pid for entry in list_marked(instance_id(self.settings.state_dir))]


@pytest.fixture
def house() -> Iterator[House]:
    state_dir = Path(mkdtemp(prefix="ouroboros-test-", dir="/tmp"))
    house = House(state_dir)
    try:
        yield house
    finally:
        for process in house.processes:
            process.kill()
            process.wait()
        bring_down(house.settings)
        shutil.rmtree(state_dir, ignore_errors=True)
