"""A running instance with short limits, a repository, and one leased slot per test."""

import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.instance import Instance, Ran, running_instance
from tests.publish.applications import Repository, make_repository

_runs = itertools.count(1)


@dataclass
class Bench:
    """One run that holds a slot, with a repository to publish from."""

    instance: Instance
    repository: Repository
    run_id: str
    slot_id: str

    @property
    def number(self) -> int:
        return int(self.slot_id.rpartition("-")[2])

    def publish(self, files: Mapping[str, str | None] | None = None, ref: str = "work") -> Ran:
        self.repository.commit(ref, files or {})
        return self.instance.publish(self.run_id, self.repository.path, ref)

    def served(self) -> str | None:
        """The commit that surface and backend both say they serve."""
        surface = self.ask(self.instance.web_port(self.number)).get("commit_sha")
        backend = self.ask(self.instance.backend_port(self.number)).get("commit_sha")
        assert surface == backend, f"mixed: the surface serves {surface}, the backend {backend}"
        return surface

    def found(self, publish_id: str) -> dict:
        """A publish of this run as the command line shows it now."""
        listed = self.instance.ouroboros("publishes", "--run-id", self.run_id).document
        return next(p for p in listed["publishes"] if p["publish_id"] == publish_id)

    @staticmethod
    def ask(port: int) -> dict:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                return json.loads(answer.read())
        except urllib.error.URLError as error:
            return {"error": str(error)}


@pytest.fixture(scope="session")
def failpoint_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Arms a failpoint of the running instance when it is written."""
    return tmp_path_factory.mktemp("failpoints") / "armed"


@pytest.fixture(scope="session")
def limited_instance(failpoint_file: Path) -> Iterator[Instance]:
    """An instance whose limits are small enough to be reached in a test."""
    with running_instance(
        OUROBOROS_BUILD_TIME_LIMIT_S="3",
        OUROBOROS_BUILD_OUTPUT_LIMIT_BYTES="1000000",
        OUROBOROS_READY_TIME_LIMIT_S="4",
        PREVIEW_FAILPOINTS_FILE=str(failpoint_file),
        PREVIEW_TEST_SECRET="must-not-reach-branch-code",
    ) as instance:
        yield instance


@contextmanager
def make_bench(instance: Instance, directory: Path) -> Iterator[Bench]:
    """A run that holds a slot; released afterwards."""
    run_id = f"test-{next(_runs)}"
    lease = instance.allocate(run_id)
    assert lease.status == 0, lease
    slot_id = lease.document["slot_id"]
    try:
        yield Bench(instance, make_repository(directory / "a repo"), run_id, slot_id)
    finally:
        released = instance.release(run_id, slot_id)
    assert released.status == 0, released


@pytest.fixture
def bench(limited_instance: Instance, tmp_path: Path) -> Iterator[Bench]:
    """A run that holds a slot."""
    with make_bench(limited_instance, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def served_bench(
    limited_instance: Instance, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """A run whose preview is being served."""
    with make_bench(limited_instance, tmp_path_factory.mktemp("served")) as made:
        done = made.publish()
        assert done.status == 0, done
        yield made
