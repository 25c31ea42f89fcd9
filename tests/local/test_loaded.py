"""The release before the live one is kept loaded, and a rollback to it does not import anything."""

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.local.conftest import House, until
from tests.local.test_backends import LAUNCHER, Bench, alive

from ouroboros.entrypoints.supervisor.loaded import can_wait
from ouroboros.entrypoints.supervisor.watch import Patience
from ouroboros.ports import BackendSpec

IMPORTED = """
import os
from backend_app import app as served

with open(os.environ["IMPORTS"], "a") as file:
    print(os.environ["COLOUR"], os.getpid(), file=file)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        with open(os.environ["IMPORTS"], "a") as file:
            print("started", os.getpid(), file=file)
    await served(scope, receive, send)
"""


class Loading(Bench):
    """A slot whose application writes down when it is imported, and when it is started."""

    def __init__(self, house: House, directory: Path) -> None:
        super().__init__(house, directory)
        (directory / "noting_app.py").write_text(IMPORTED)
        self.imports = directory / "imports"

    def spec(self, publish_id: str = "p1", fence: int = 1, **changes: Any) -> BackendSpec:
        spec = super().spec(publish_id, fence, **changes)
        argv = tuple(item.replace("backend_app:", "noting_app:") for item in spec.argv)
        here = os.pathsep.join((str(self.imports.parent), str(spec.cwd)))
        env = {**spec.env, "IMPORTS": str(self.imports), "PYTHONPATH": here}
        return replace(spec, argv=argv, env=env)

    def again(self, **environ: str) -> None:
        """The supervisor once more, with other settings."""
        self.house.end()
        self.house.environ |= environ
        self.house.up()

    def publish(self, publish_id: str, fence: int = 1) -> int | None:
        self.runtime.prepare(self.slot, self.spec(publish_id, fence))
        return self.runtime.promote(self.slot, publish_id, fence).pid

    def loaded(self, publish_id: str) -> int:
        """Wait until a release is loaded; returns the process."""
        until(lambda: self.status().loaded_publish_id == publish_id)
        until(lambda: self.lines()[-1].startswith(f"{publish_id} "))
        return int(self.lines()[-1].split()[1])

    def lines(self) -> list[str]:
        return self.imports.read_text().splitlines()


@pytest.fixture
def bench(house: House, tmp_path: Path) -> Loading:
    return Loading(house, tmp_path)


def test_going_back_serves_with_the_process_that_was_loaded(bench: Loading) -> None:
    first = bench.publish("p1")
    assert bench.status().loaded_publish_id is None
    second = bench.publish("p2")
    waiting = bench.loaded("p1")
    assert waiting != first
    assert bench.status().pid == second
    assert f"started {waiting}" not in bench.lines()
    before = bench.lines()
    assert bench.publish("p1") == waiting
    assert bench.lines() == [*before, f"started {waiting}"]
    assert bench.colour() == "p1"
    assert bench.get("/health", **{"X-Preview-Probe": "1"})[1]["x-preview-nonce"] == (
        bench.status().nonce
    )
    assert bench.loaded("p2") not in (second, waiting)


def test_a_loaded_release_answers_nobody(bench: Loading) -> None:
    bench.publish("p1")
    bench.publish("p2")
    bench.loaded("p1")
    assert {bench.colour() for _ in range(50)} == {"p2"}


def test_another_release_is_started_anew_and_the_loaded_one_has_ended(bench: Loading) -> None:
    bench.publish("p1")
    bench.publish("p2")
    waiting = bench.loaded("p1")
    bench.runtime.prepare(bench.slot, bench.spec("p3"))
    assert not alive(waiting)
    assert bench.status().loaded_publish_id is None
    bench.runtime.promote(bench.slot, "p3", 1)
    assert bench.colour() == "p3"


@pytest.mark.parametrize("changed", ["env", "argv", "health_path"])
def test_the_same_release_that_would_run_otherwise_is_started_anew(
    bench: Loading, changed: str
) -> None:
    bench.publish("p1")
    bench.publish("p2")
    waiting = bench.loaded("p1")
    spec = bench.spec("p1")
    other = {
        "env": {**spec.env, "COLOUR": "another"},
        "argv": (spec.argv[0], "-X", "dev", *spec.argv[1:]),
        "health_path": "/else",
    }[changed]
    bench.runtime.prepare(bench.slot, replace(spec, **{changed: other}))
    assert not alive(waiting)
    assert bench.runtime.promote(bench.slot, "p1", 1).pid != waiting


@pytest.mark.parametrize("do", ["stop", "park", "start"])
def test_what_ends_the_backend_of_a_slot_ends_the_loaded_release_too(
    bench: Loading, do: str
) -> None:
    """Its database may be another one afterwards, or its lease over."""
    bench.publish("p1")
    bench.publish("p2")
    waiting = bench.loaded("p1")
    if do == "start":
        bench.runtime.start(bench.slot, bench.spec("p3"))
    else:
        getattr(bench.runtime, do)(bench.slot, 1)
    assert not alive(waiting)
    assert bench.status().loaded_publish_id is None


def test_a_loaded_release_that_was_killed_is_started_anew(bench: Loading) -> None:
    bench.publish("p1")
    bench.publish("p2")
    waiting = bench.loaded("p1")
    os.kill(waiting, signal.SIGKILL)
    until(lambda: bench.status().loaded_publish_id is None)
    assert bench.publish("p1") != waiting
    assert bench.colour() == "p1"


def test_nothing_waits_on_when_the_supervisor_was_killed(bench: Loading) -> None:
    bench.publish("p1")
    bench.publish("p2")
    waiting = bench.loaded("p1")
    bench.house.kill()
    until(lambda: not alive(waiting))
    until(lambda: bench.house.list_processes() == [])


def test_a_release_is_loaded_no_longer_than_is_set(bench: Loading) -> None:
    bench.again(OUROBOROS_KEEP_LOADED_S="1")
    bench.publish("p1")
    bench.publish("p2")
    waiting = bench.loaded("p1")
    until(lambda: not alive(waiting))
    until(lambda: bench.status().loaded_publish_id is None)


@pytest.mark.parametrize(
    ("argv", "waits"),
    [
        (LAUNCHER, True),
        ((sys.executable, "-m", "uvicorn", "backend_app:app", "--fd", "3"), False),
        (("./server",), False),
    ],
    ids=["our launcher", "another server", "a program of its own"],
)
def test_only_our_launcher_can_wait(argv: tuple[str, ...], waits: bool, tmp_path: Path) -> None:
    spec = BackendSpec(argv, tmp_path, {}, "socket", "/health", tmp_path, "p1", "run-1", "c", 1)
    assert can_wait(spec) is waits


def test_a_loaded_release_ends_when_it_is_asked_to(bench: Loading) -> None:
    bench.publish("p1")
    bench.publish("p2")
    waiting = bench.loaded("p1")
    os.kill(waiting, signal.SIGTERM)
    until(lambda: not alive(waiting))


def test_a_release_that_cannot_be_started_again_leaves_the_slot_as_it_is(
    bench: Loading, tmp_path: Path
) -> None:
    away = tmp_path / "release"
    away.mkdir()
    bench.runtime.prepare(bench.slot, replace(bench.spec("p1"), cwd=away))
    bench.runtime.promote(bench.slot, "p1", 1)
    away.rmdir()
    bench.publish("p2")
    wait_until_loaded_if_ever()
    assert bench.status().loaded_publish_id is None
    assert bench.colour() == "p2"
    bench.publish("p3")
    assert bench.colour() == "p3"


@pytest.mark.parametrize(
    "setting",
    [{"OUROBOROS_KEEP_LOADED_S": "0"}, {"OUROBOROS_KEEP_RELEASES": "1"}],
    ids=["switched off", "no release before is kept"],
)
def test_nothing_is_loaded_in_vain(bench: Loading, setting: dict[str, str]) -> None:
    bench.again(**setting)
    bench.publish("p1")
    bench.publish("p2")
    wait_until_loaded_if_ever()
    assert bench.status().loaded_publish_id is None
    assert len(bench.lines()) == 4  # two were imported and started


def wait_until_loaded_if_ever() -> None:
    by = time.monotonic() + 2 * Patience().loading_s
    until(lambda: time.monotonic() > by)
