"""Publishes in a row into one slot under load: what the visitors of the two others notice of them.

The long form (`make soak`) prints how their p99 compares with the same load without publishes.
"""

import json
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.box.applications import FILES, PORT_FILES
from tests.box.host import Host
from tests.box.test_floods import LOAD

PUBLISH = Path(__file__).with_name("publish_again.py").read_text(encoding="utf-8")
_CLIENTS = "2"


@pytest.fixture
def alike(previews: Host) -> Iterator[Host]:
    """Three slots with the same application."""
    for number in (1, 2, 3):
        assert previews.publish(number, FILES)["status"] == 0
    yield previews
    assert previews.publish(3, PORT_FILES)["status"] == 0


def begin(host: Host, code: str, *arguments: str) -> "subprocess.Popen[str]":
    argv = host.machine.argv("/usr/bin/python3", "-c", code, *arguments)
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def read(process: "subprocess.Popen[str]") -> object:
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    return json.loads(out)


def under_load(host: Host, seconds: float) -> dict:
    """Load on all slots; what the visitors of the two others saw."""
    loads = [begin(host, LOAD, str(seconds), _CLIENTS, *slots) for slots in (("1",), ("2", "3"))]
    visited, others = map(read, loads)
    assert visited["failed"] == 0, visited
    return others


def refs_of(host: Host, count: int) -> tuple[str, list[str]]:
    """A repository with so many branches, each with another backend."""
    path = host.repository("again", FILES)
    refs = [f"change-{number}" for number in range(count)]
    git = "git -c user.name=Test -c user.email=test@example.com -c safe.directory='*'"
    host.machine.run(
        "sh", "-ec",
        f"cd {path}; for ref in {' '.join(refs)}; do echo \"# $ref\" >> server.py;"
        f"{git} commit -qam $ref; {git} branch $ref; done; chown -R ouroboros: .",
    )  # fmt: skip
    return path, refs


@pytest.mark.parametrize(
    ("publishes", "rounds"), [(2, 1), pytest.param(12, 4, marks=pytest.mark.soak)]
)
@pytest.mark.timeout(900)
def test_publishes_in_a_row_cost_the_others_no_request(alike, publishes, rounds, capsys):
    path, refs = refs_of(alike, publishes)
    ratios = []
    for _ in range(rounds):
        idle = under_load(alike, publishes)
        publishing = begin(alike, PUBLISH, path, *refs)
        busy = under_load(alike, publishes)  # each takes more than a second
        took = read(publishing)
        ratios.append(round(busy["p99_ms"] / idle["p99_ms"], 2))
        with capsys.disabled():
            print(json.dumps({"idle": idle, "publishing": busy, "publishes_s": took}))
        assert idle["failed"] == busy["failed"] == 0, busy
        assert busy["requests"] > 100
    with capsys.disabled():
        print(f"p99 of the others while publishing, of idle: {statistics.median(ratios)}"
              f" of {ratios}")  # fmt: skip
