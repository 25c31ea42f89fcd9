"""One running instance with the example published into two slots, shared by these tests."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.instance import HOME, Instance, Ran, running_instance


@dataclass(frozen=True)
class Published:
    """The running instance and what was published into it."""

    instance: Instance
    repository: Path
    leases: dict[str, Ran]
    publishes: dict[str, Ran]


@pytest.fixture(scope="session")
def toolshed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository of the example application with its branches."""
    target = tmp_path_factory.mktemp("git") / "tool shed"
    maker = HOME / "examples" / "make_repository.py"
    subprocess.run([sys.executable, str(maker), str(target)], check=True, capture_output=True)
    return target


@pytest.fixture(scope="session")
def published(toolshed: Path) -> Iterator[Published]:
    """An instance in which two runs are published, as `make demo` does it."""
    with running_instance() as instance:
        leases, publishes = {}, {}
        for run in ("demo-page", "demo-reservations"):
            leases[run] = instance.allocate(run)
            assert leases[run].status == 0, leases[run]
            publishes[run] = instance.publish(run, toolshed, f"codex/run-{run}")
            assert publishes[run].status == 0, publishes[run]
        yield Published(instance, toolshed, leases, publishes)
