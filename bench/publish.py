"""How long a publish of the example takes, beside the same application deployed by hand.

    .venv/bin/python bench/publish.py [--rounds 5] [--only times|output|neighbours]

Starts an instance of its own and ends it. By hand means the shell script below: the same tools
with warm caches of their own, `npm ci` only when the lock file has changed, the old process
stopped and the new one started. "Tools" is what git, Vite, uv, Alembic and the application's own
start took in it; the rest of our time is overhead. Rounds are interleaved: each commits a change
to front end and backend, then deploys it both ways, then both ways again unchanged.
"""

import argparse
import contextlib
import http.client
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.instance import HOME, Instance, running_instance
from tests.publish.applications import BUILD, make_repository

from ouroboros.bootstrap import compose
from ouroboros.settings import read_settings

BY_HAND = r"""
set -euo pipefail
step() { name=$1; shift; began=$(date +%s%N); "$@" >> "$LOG" 2>&1
         echo "$name $(( ($(date +%s%N) - began) / 1000000 ))"; }
restart() {
  if [ -f pid ]; then kill "$(cat pid)" || true
    while kill -0 "$(cat pid)" 2> /dev/null; do sleep 0.02; done; fi
  (cd src/backend; exec .venv/bin/python -m uvicorn app.main:app --port "$PORT" >> "$LOG" 2>&1) &
  echo $! > pid
  until curl -sf -o health "http://127.0.0.1:$PORT/health"; do sleep 0.02; done; }
sync_web() { rm -rf web.new; cp -r src/frontend/dist web.new; rm -rf web; mv web.new web; }
lay_out() { [ -d src ] || git clone -q "$REPO" src
  git -C src fetch -q origin && git -C src checkout -q -f "$COMMIT"; }
migrate() { (cd src/backend; .venv/bin/alembic upgrade head); }
step git lay_out
if ! cmp -s src/frontend/package-lock.json lock; then
  step npm-ci npm --prefix src/frontend ci; cp src/frontend/package-lock.json lock; fi
step vite npm --prefix src/frontend run build
step copy sync_web
step uv uv sync --project src/backend --frozen --no-dev
step alembic migrate
step restart restart
"""


class ByHand:
    """The same application on a free port, from the same repository, by a shell script."""

    def __init__(self, instance: Instance, repository: Path, directory: Path) -> None:
        settings = read_settings(instance.environ)
        at = compose(settings, instance.environ, "bench")
        slot = settings.pool.parse(instance.allocate("by-hand").document["slot_id"])
        self._environ = {
            **instance.environ,
            **at.backends.environment(slot, directory / "src", "by-hand", "0" * 40),
            "PATH": at.backends.tools_path,
            "npm_config_cache": str(directory / "npm"),
            "UV_CACHE_DIR": str(directory / "uv"),
            "UV_PYTHON_DOWNLOADS": "never",
            "VITE_API_BASE_URL": "/api",
            "REPO": str(repository),
            "PORT": str(instance.api_port + 9),
            "LOG": str(directory / "log"),
        }
        at.close()
        self._directory = directory
        directory.mkdir()

    def deploy(self, commit: str) -> tuple[float, dict[str, float]]:
        """Deploy a commit; returns the seconds it took, and those of each tool."""
        began = time.perf_counter()
        done = subprocess.run(
            ["bash", "-c", BY_HAND],
            env={**self._environ, "COMMIT": commit},
            cwd=self._directory,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        took = time.perf_counter() - began
        if done.returncode != 0:
            sys.exit((self._directory / "log").read_text()[-2000:])
        steps = (line.split() for line in done.stdout.splitlines())
        return took, {name: int(ms) / 1000 for name, ms in steps}

    def end(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((self._directory / "pid").read_text()), signal.SIGTERM)


class Ours:
    """Publishes into one slot."""

    def __init__(self, instance: Instance, repository: Path, run_id: str) -> None:
        self.instance, self.run_id, self.repository = instance, run_id, repository
        self.slot_id = instance.allocate(run_id).document["slot_id"]

    def publish(self, ref: str) -> tuple[float, dict[str, float]]:
        began = time.perf_counter()
        done = self.instance.publish(self.run_id, self.repository, ref)
        took = time.perf_counter() - began
        if done.status != 0:
            sys.exit(json.dumps(done.document, indent=2)[-3000:])
        steps = {step["step"]: step["duration_ms"] / 1000 for step in done.document["steps"]}
        return took, steps


def change(repository: Path, number: int) -> str:
    """Commit another version of front end and backend; returns the commit."""
    for path, comment in (("frontend/src/main.ts", "//"), ("backend/app/main.py", "#")):
        with (repository / path).open("a") as file:
            file.write(f"\n{comment} change {number} of the benchmark\n")
    git = ["git", "-c", "user.name=Bench", "-c", "user.email=bench@example.com"]
    subprocess.run([*git, "commit", "-qam", f"Change {number}"], cwd=repository, check=True)
    shown = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repository, stdout=subprocess.PIPE, text=True, check=True
    )
    return shown.stdout.strip()


def make_toolshed(directory: Path) -> Path:
    maker = [sys.executable, str(HOME / "examples" / "make_repository.py"), str(directory)]
    subprocess.run(maker, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["git", "checkout", "-qf", "main"], cwd=directory, check=True)
    return directory


def measure_times(instance: Instance, directory: Path, rounds: int) -> None:
    repository = make_toolshed(directory / "toolshed")
    hand, ours = ByHand(instance, repository, directory / "hand"), Ours(instance, repository, "b")
    times: dict[str, list[tuple[float, dict[str, float]]]] = {}
    try:
        commit = change(repository, 0)
        times["cold, by hand"] = [hand.deploy(commit)]
        times["cold"] = [ours.publish("main")]
        for number in range(1, rounds + 1):
            commit = change(repository, number)
            for kind in ("warm", "unchanged"):
                times.setdefault(kind, []).append(ours.publish("main"))
                times.setdefault(f"{kind}, by hand", []).append(hand.deploy(commit))
            times.setdefault("rollback", []).append(rollback(instance, ours.slot_id))
            ours.publish("main")
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


def rollback(instance: Instance, slot_id: str) -> tuple[float, dict[str, float]]:
    began = time.perf_counter()
    done = instance.ouroboros("rollback", "--slot", slot_id)
    if done.status != 0:
        sys.exit(done.stdout + done.stderr)
    return time.perf_counter() - began, {}


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
    """What visitors of another slot notice of publishes."""
    repository = make_toolshed(directory / "neighbours")
    change(repository, 0)
    ours, other = (Ours(instance, repository, run) for run in ("publishing", "other"))
    for each in (ours, other):
        each.publish("main")
    number = int(other.slot_id.rpartition("-")[2])
    idle = timed(instance, number, lambda: time.sleep(15))

    def publish() -> None:
        for at in range(1, rounds + 1):
            change(repository, at)
            ours.publish("main")

    busy = timed(instance, number, publish)
    for name, found in (("idle", idle), ("publishing", busy)):
        print(f"neighbour, {name:10} {len(found)} requests, p50 {found[len(found) // 2] * 1e3:.1f}"
              f" ms, p99 {found[int(len(found) * 0.99)] * 1e3:.1f} ms")  # fmt: skip


def timed(instance: Instance, number: int, act) -> list[float]:
    """Ask the slot's page and API every 10 ms meanwhile; the seconds each answer took, sorted."""
    taken: list[float] = []
    stop = threading.Event()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", instance.web_port(number), timeout=30)
        while not stop.wait(0.01):
            for path in ("/", "/api/tools"):
                began = time.perf_counter()
                connection.request("GET", path, headers={"Host": f"preview{number}.localhost"})
                connection.getresponse().read()
                taken.append(time.perf_counter() - began)
        connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    act()
    stop.set()
    thread.join()
    return sorted(taken)


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
    asked = parser.parse_args()
    with running_instance() as instance, temporary() as directory:
        if asked.only in (None, "times"):
            measure_times(instance, directory, asked.rounds)
        if asked.only in (None, "output"):
            measure_output(instance, directory)
        if asked.only in (None, "neighbours"):
            measure_neighbours(instance, directory, asked.rounds)


if __name__ == "__main__":
    main()
