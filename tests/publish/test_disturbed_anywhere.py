"""A publish that is disturbed at any instant, also in the midst of a tool, ends as it should.

Failpoints lie between the tools; here git, the build and the backend are hit while they run, and
each publish is from a repository that nobody has fetched before.
"""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.instance import Instance, running_instance
from tests.publish.applications import BUILD, make_repository
from tests.publish.conftest import Bench, make_bench

_LONGEST_S = 2.5
_ENDS_WITHIN_S = 120


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with running_instance(SLOT_IDS_CSV="preview-1") as made:
        yield made


def kill_worker(bench: Bench, _: str) -> None:
    kill(int((bench.instance.state_dir / "run" / "worker.lock").read_text() or 0))


def kill_postgresql(bench: Bench, _: str) -> None:
    pid_file = bench.instance.state_dir / "postgres" / "postmaster.pid"
    kill(int(pid_file.read_text().split()[0]))


def cancel(bench: Bench, publish_id: str) -> None:
    patiently(lambda: bench.instance.ouroboros("cancel", publish_id))


def kill(pid: int) -> None:
    if pid:  # a worker that has just started has not written its own yet
        with contextlib.suppress(ProcessLookupError):  # it was killed, and is being started
            os.kill(pid, signal.SIGKILL)


def patiently(ask: Callable[[], Any]) -> Any:
    """What a command answers once PostgreSQL lets it answer."""
    deadline = time.monotonic() + _ENDS_WITHIN_S
    while (ran := ask()).status:
        assert ran.status == 3, ran
        assert time.monotonic() < deadline, ran
        time.sleep(0.1)
    return ran.document


def end_of(bench: Bench, publish_id: str) -> dict:
    command = ("publishes", "--run-id", bench.run_id)
    deadline = time.monotonic() + _ENDS_WITHIN_S
    while True:
        listed = patiently(lambda: bench.instance.ouroboros(*command))["publishes"]
        found = next(each for each in listed if each["publish_id"] == publish_id)
        if found["state"] not in ("queued", "running"):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def disturb(bench: Bench, directory: Path, count: int, how: Callable[[Bench, str], None]) -> None:
    """Publish so often, disturb each one once, and require what must be served after it."""
    instants = random.Random(count)
    states = ("ready", "cancelled") if how is cancel else ("ready",)
    served = None
    for number in range(count):
        repository = make_repository(directory / f"repository {number}")
        commit = repository.commit("work", {})
        command = ("publish", "--run-id", bench.run_id, "--repo", str(repository.path),
                   "--ref", "work", "--detach")  # fmt: skip
        publish_id = patiently(lambda: bench.instance.ouroboros(*command))["publish_id"]  # noqa: B023
        time.sleep(after := instants.uniform(0, _LONGEST_S))
        how(bench, publish_id)
        found = end_of(bench, publish_id)
        assert found["state"] in states, (after, found["failed_step"], found["error"])
        served = commit if found["state"] == "ready" else served
        assert bench.served() == served, (after, found["state"])


@pytest.mark.parametrize("how", [kill_worker, kill_postgresql, cancel])
def test_a_publish_disturbed_at_some_instant_ends_as_it_should(instance, tmp_path, how):
    with make_bench(instance, tmp_path) as bench:
        disturb(bench, tmp_path, 2, how)


def kill_api(bench: Bench, _: str) -> None:
    services = bench.instance.ouroboros("status").document["services"]
    kill(next(each["pid"] for each in services if each["name"] == "api"))


@pytest.mark.parametrize("kill_it", [kill_api, kill_postgresql])
def test_who_waits_for_a_publish_is_told_its_end_whatever_goes_away(instance, tmp_path, kill_it):
    began, may_end = tmp_path / "began", tmp_path / "may end"
    wait = f"""
import time
pathlib.Path({str(began)!r}).touch()
while not pathlib.Path({str(may_end)!r}).exists():
    time.sleep(0.01)
"""
    with make_bench(instance, tmp_path) as bench:
        bench.repository.commit("work", {"build.py": BUILD + wait})
        with ThreadPoolExecutor() as threads:
            publish = (bench.run_id, bench.repository.path, "work")
            told = threads.submit(instance.publish, *publish)
            while not began.exists():
                assert not told.done(), told.result()
                time.sleep(0.01)
            kill_it(bench, "")
            patiently(lambda: instance.ouroboros("queue"))
            may_end.touch()
            ended = told.result()
        assert (ended.status, ended.document["state"]) == (0, "ready"), ended


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("how", [kill_worker, kill_postgresql, cancel])
def test_each_of_a_hundred_publishes_disturbed_at_any_instant_ends_as_it_should(
    instance, tmp_path, how
):
    with make_bench(instance, tmp_path) as bench:
        disturb(bench, tmp_path, 100, how)
