"""The example application and ways to deploy it: ours, and a shell script.

Each `deploy` returns the seconds it took and those of the tools or steps in it, where they are
known.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.instance import HOME, Instance

from ouroboros.bootstrap import compose
from ouroboros.client import Client
from ouroboros.settings import read_settings

Deployed = tuple[float, dict[str, float]]

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


def make_toolshed(directory: Path) -> Path:
    """The example's repository, with its branch main checked out."""
    maker = [sys.executable, str(HOME / "examples" / "make_repository.py"), str(directory)]
    subprocess.run(maker, check=True, stdout=subprocess.DEVNULL)
    git(directory, "checkout", "-qf", "main")
    return directory


def change(repository: Path, number: int) -> str:
    """Commit another version of front end and backend; returns the commit."""
    for path, comment in (("frontend/src/main.ts", "//"), ("backend/app/main.py", "#")):
        with (repository / path).open("a") as file:
            file.write(f"\n{comment} change {number} of the benchmark\n")
    git(repository, "commit", "-qam", f"Change {number}")
    return git(repository, "rev-parse", "HEAD")


def environment_of_a_slot(instance: Instance, run_id: str, directory: Path) -> dict[str, str]:
    """What the application needs to run on a slot's database, with caches in a directory."""
    settings = read_settings(instance.environ)
    at = compose(settings, instance.environ, "bench")
    slot = settings.pool.parse(instance.allocate(run_id).document["slot_id"])
    found = {
        **at.backends.environment(slot, directory / "src", run_id, "0" * 40),
        "PATH": at.backends.tools_path,
        "npm_config_cache": str(directory / "npm"),
        "UV_CACHE_DIR": str(directory / "uv"),
        "UV_PYTHON_DOWNLOADS": "never",
        "VITE_API_BASE_URL": "/api",
    }
    at.close()
    return found


class Ours:
    """Publishes into one slot."""

    def __init__(self, instance: Instance, repository: Path, run_id: str) -> None:
        self.instance, self.run_id, self.repository = instance, run_id, repository
        self.slot_id = instance.allocate(run_id).document["slot_id"]
        number = int(self.slot_id.rpartition("-")[2])
        self.port, self.host = instance.web_port(number), f"preview{number}.localhost"

    def deploy(self, ref: str) -> Deployed:
        began = time.perf_counter()
        done = self.instance.publish(self.run_id, self.repository, ref)
        took = time.perf_counter() - began
        if done.status != 0:
            sys.exit(json.dumps(done.document, indent=2)[-3000:])
        return took, {each["step"]: each["duration_ms"] / 1000 for each in done.document["steps"]}

    def deploy_over_http(self, ref: str) -> None:
        """Publish as a run worker elsewhere does: nothing of it takes this machine's time."""
        api = Client(self.instance.state_dir / "run" / "api.sock")
        asked = {"run_id": self.run_id, "repo": str(self.repository), "ref": ref}
        found = api.post("/api/publishes", asked)
        while not found["final"]:
            waiting = {"wait_s": 20, "seen": found["version"]}
            found = api.get(f"/api/publishes/{found['publish_id']}", waiting)
        if not found["preview_ready"]:
            sys.exit(json.dumps(found, indent=2)[-3000:])

    def roll_back(self) -> Deployed:
        began = time.perf_counter()
        done = self.instance.ouroboros("rollback", "--slot", self.slot_id)
        if done.status != 0:
            sys.exit(done.stdout + done.stderr)
        return time.perf_counter() - began, {}


class ByHand:
    """The same application on a free port, from the same repository, by a shell script."""

    def __init__(self, instance: Instance, repository: Path, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self._environ = {
            **instance.environ,
            **environment_of_a_slot(instance, "by-hand", directory),
            "REPO": str(repository),
            "PORT": str(instance.api_port + 9),
            "LOG": str(directory / "log"),
        }

    def deploy(self, commit: str) -> Deployed:
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


def git(directory: Path, *words: str) -> str:
    """Run git in a directory; returns what it says."""
    argv = ["git", "-c", "user.name=Bench", "-c", "user.email=bench@example.com", *words]
    shown = subprocess.run(argv, cwd=directory, stdout=subprocess.PIPE, text=True, check=True)
    return shown.stdout.strip()
