"""How long a publish of the example takes, beside the same application deployed in other ways.

    .venv/bin/python bench/publish.py [--rounds 5] [--only times|output|neighbours]
    .venv/bin/python bench/publish.py --piku FILE

Starts an instance of its own and ends it. By hand means the shell script in
`publishing/deployments.py`: the same tools with warm caches of their own, `npm ci` only when the
lock file has changed, the old process stopped and the new one started. "Tools" is what git, Vite,
uv, Alembic and the application's own start took in it; the rest of our time is overhead. Rounds
are interleaved: each commits a change to front end and backend, then deploys it both ways, then
both ways again unchanged. A rollback leads to the release before, which is loaded by then; the
next one, at once after it, further back to a release that is not. FILE is `piku.py` of
https://github.com/piku/piku; `publishing/piku.py` says how it is run.
"""

import argparse
import contextlib
import http.client
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from publishing.deployments import ByHand, Ours, change, make_toolshed
from publishing.piku import Piku
from publishing.visitors import begin, tell, visiting
from tests.instance import Instance, running_instance
from tests.publish.applications import BUILD, make_repository
from tests.publish.visited import SOCKET_TOML, files

from ouroboros.adapters.leftovers import instance_id
from ouroboros.adapters.processors import divide_processors


def measure_times(instance: Instance, directory: Path, rounds: int) -> None:
    repository = make_toolshed(directory / "toolshed")
    hand, ours = ByHand(instance, repository, directory / "hand"), Ours(instance, repository, "b")
    times: dict[str, list[tuple[float, dict[str, float]]]] = {}
    try:
        commit = change(repository, 0)
        times["cold, by hand"] = [hand.deploy(commit)]
        times["cold"] = [ours.deploy("main")]
        for number in range(1, rounds + 1):
            commit = change(repository, number)
            for kind in ("warm", "unchanged"):
                times.setdefault(kind, []).append(ours.deploy("main"))
                times.setdefault(f"{kind}, by hand", []).append(hand.deploy(commit))
            for kind in ("rollback", "rollback further"):
                times.setdefault(kind, []).append(ours.roll_back())
            ours.deploy("main")
    finally:
        hand.end()
    for kind, taken in times.items():
        print(f"{kind:20} {statistics.median(took for took, _ in taken):6.2f} s   ", end="")
        names = list(dict.fromkeys(name for _, steps in taken for name in steps))
        medians = {n: statistics.median(steps.get(n, 0) for _, steps in taken) for n in names}
        print("  ".join(f"{name} {took:.2f}" for name, took in medians.items()))
    tools = statistics.median(
        sum(took for name, took in steps.items() if name != "copy")
        for _, steps in times["warm, by hand"]
    )
    warm = statistics.median(took for took, _ in times["warm"])
    print(f"warm: tools {tools:.2f} s, wanted under {1.15 * tools + 1:.2f} s, seen {warm:.2f} s")


_PUBLISHES_A_ROUND = 5
_PATHS = ("/", "/api/health")

SAYING = """
import sys, time
for number in range(300):
    print(f"said {time.time()}", flush=True)
    time.sleep(0.02)
"""


def measure_output(instance: Instance, directory: Path) -> None:
    """How long a line of a running build takes to a reader of the API's stream."""
    repository = make_repository(directory / "saying")
    repository.commit("main", {"build.py": BUILD + SAYING})
    run = Ours(instance, repository.path, "saying")
    queued = instance.ouroboros(
        "publish", "--run-id", run.run_id, "--repo", str(run.repository), "--ref", "main",
        "--detach",
    )  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", instance.api_port, timeout=60)
    path = f"/api/publishes/{queued.document['publish_id']}/log?follow"
    connection.request("GET", path, headers={"Host": "localhost"})
    answer = connection.getresponse()
    delays = []
    while line := answer.readline():
        if line.startswith(b"data: "):
            text = json.loads(line[6:]).get("text", "")
            now = time.time()
            delays += [now - float(t.split()[1]) for t in text.splitlines() if t[:5] == "said "]
    connection.close()
    delays.sort()
    print(f"live output: {len(delays)} lines, p50 {delays[len(delays) // 2] * 1000:.0f} ms, "
          f"p95 {delays[int(len(delays) * 0.95)] * 1000:.0f} ms, "
          f"most {delays[-1] * 1000:.0f} ms (wanted: 150)")  # fmt: skip


def measure_neighbours(instance: Instance, directory: Path, rounds: int) -> None:
    """What visitors of two slots notice when the third, under constant load, is published to.

    All three have an application that answers in 2 ms: what is slow of it is the machine. Visitors
    come from elsewhere: they take no processor time of what serves them.
    """
    repository = make_repository(directory / "small")
    repository.commit("main", files(0, SOCKET_TOML))
    runs = ("publishing", "other", "third")
    ours, *others = (Ours(instance, repository.path, run) for run in runs)
    for each in (ours, *others):
        each.deploy("main")
    for at, number in itertools.product(range(1, rounds + 1), range(_PUBLISHES_A_ROUND)):
        repository.commit(f"change-{at}-{number}", files(at * 100 + number, SOCKET_TOML))
    with contextlib.ExitStack() as stack:
        stack.enter_context(off_the_visitors_processors(instance))
        load = stack.enter_context(visiting(ours.port, ours.host, 6, *_PATHS))
        seen = [stack.enter_context(visiting(each.port, each.host, 2, *_PATHS)) for each in others]
        for at in range(1, rounds + 1):
            begin(f"idle-{at}", load, *seen)
            time.sleep(8)
            begin(f"computing-{at}", load, *seen)
            compute_alone(5)
            begin(f"publishing-{at}", load, *seen)
            for number in range(_PUBLISHES_A_ROUND):
                ours.deploy_over_http(f"change-{at}-{number}")
        loaded, *told = (tell(each) for each in (load, *seen))
    ratios: dict[str, list[float]] = {"computing": [], "publishing": []}
    for at in range(1, rounds + 1):
        idle = tell_neighbours(f"idle-{at}", told)
        for kind, seen_so in ratios.items():
            seen_so.append(tell_neighbours(f"{kind}-{at}", told) / idle)
    print(f"the visited slot: {rounds * _PUBLISHES_A_ROUND} publishes, "
          f"{sum(map(len, loaded['times_ms'].values()))} requests, "
          f"{sum(loaded['failed'].values())} failed")  # fmt: skip
    for kind, found in ratios.items():
        print(f"neighbours: p99 while {kind}, of idle: median {statistics.median(found):.2f} of "
              f"{', '.join(f'{each:.2f}' for each in found)} (wanted: 1.2)")  # fmt: skip


@contextlib.contextmanager
def off_the_visitors_processors(instance: Instance) -> Iterator[None]:
    """Run this process, and what it starts, where publishes do, so that it costs only them."""
    usable = os.sched_getaffinity(0)
    working = divide_processors(usable, instance_id(instance.state_dir)).working
    os.sched_setaffinity(0, working)
    try:
        yield
    finally:
        os.sched_setaffinity(0, usable)


def compute_alone(seconds: float) -> None:
    """One process that only computes, as nice as can be: what no publish can do without."""
    code = f"import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"
    subprocess.run(["nice", "-n", "19", sys.executable, "-c", code], check=True)


def tell_neighbours(name: str, told: list[dict[str, Any]]) -> float:
    """Print what the visitors of both other slots saw in a stretch; returns its p99 in ms."""
    times = sorted(took for each in told for took in each["times_ms"][name])
    p99 = times[int(len(times) * 0.99)]
    print(f"neighbours, {name:13} {len(times):6} requests, "
          f"{sum(each['failed'][name] for each in told)} failed, "
          f"p50 {times[len(times) // 2]:.1f} ms, p99 {p99:.1f} ms")  # fmt: skip
    return p99


def measure_beside_piku(instance: Instance, directory: Path, rounds: int, program: Path) -> None:
    """How long until a change is served, and what visitors of the API notice of it."""
    repository = make_toolshed(directory / "toolshed")
    ours = Ours(instance, repository, "beside-piku")
    piku = Piku(instance, repository, directory / "piku", program)
    times: dict[str, list[float]] = {}
    try:
        commit = change(repository, 0)
        print(f"cold: ours {ours.deploy('main')[0]:.2f} s, piku {piku.deploy(commit)[0]:.2f} s")
        with contextlib.ExitStack() as stack:
            seen = {
                name: stack.enter_context(visiting(each.port, each.host, 2, "/api/slots"))
                for name, each in (("ours", ours), ("piku", piku))
            }
            for number in range(1, rounds + 1):
                commit = change(repository, number)
                for kind in ("warm", "unchanged"):
                    begin(f"{kind}-ours", *seen.values())
                    times.setdefault(f"{kind}-ours", []).append(ours.deploy("main")[0])
                    begin(f"{kind}-piku", *seen.values())
                    times.setdefault(f"{kind}-piku", []).append(piku.deploy(commit)[0])
            told = {name: tell(each) for name, each in seen.items()}
    finally:
        piku.end()
    for kind, taken in times.items():
        visited = told[kind[-4:]]
        print(f"{kind:16} {statistics.median(taken):6.2f} s   {len(visited['times_ms'][kind])} "
              f"requests meanwhile, {visited['failed'][kind]} failed")  # fmt: skip


@contextlib.contextmanager
def temporary() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="ouro-bench-", dir="/tmp"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("times", "output", "neighbours"))
    parser.add_argument("--piku", type=Path, metavar="FILE", help="compare with this piku.py alone")
    asked = parser.parse_args()
    # Everybody's Python remembers what it has compiled, as that of a slot's releases does.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with running_instance() as instance, temporary() as directory:
        if asked.piku is not None:
            measure_beside_piku(instance, directory, asked.rounds, asked.piku)
            return
        if asked.only in (None, "times"):
            measure_times(instance, directory, asked.rounds)
        if asked.only in (None, "output"):
            measure_output(instance, directory)
        if asked.only in (None, "neighbours"):
            measure_neighbours(instance, directory, asked.rounds)


if __name__ == "__main__":
    main()
