"""A slot that is published to by workers that die, and what must be true of it afterwards."""

import ast
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from tests.instance import make_instance
from tests.publish.applications import PREVIEW_TOML, SOCKET_SERVER, make_repository

from ouroboros.adapters.cluster.binaries import find_binaries
from ouroboros.adapters.guard import list_descendants
from ouroboros.adapters.http_probe import ask
from ouroboros.adapters.leftovers import instance_id, list_marked
from ouroboros.bootstrap import Installation, compose
from ouroboros.domain.publish import StepName
from ouroboros.domain.reset import choose_source
from ouroboros.domain.slot import Slot
from ouroboros.settings import read_settings

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "src" / "ouroboros"
WHERE = (
    "services/publish",
    "services/databases/checkpoints.py",
    "adapters/cluster/exchange.py",
    "adapters/web_roots.py",
)
RUN = "crash"
ASLEEP = """
import os, subprocess
sleep = ["PSQL", os.environ["DATABASE_URL"], "-c", "SELECT pg_sleep(1)"]
subprocess.run(sleep, check=True)
"""
_markers = itertools.count(1)


def failpoints() -> list[str]:
    """Every failpoint that a publish can pass, read from the code: a new one is tried at once.

    A name that holds `{step.name}` stands for one failpoint of each step.
    """
    names: set[str] = set()
    for place in WHERE:
        path = SOURCES / place
        for file in [path] if path.is_file() else path.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "failpoint":
                    names |= _names_of(node.args[0])
    return sorted(names)


def _names_of(written: ast.expr) -> set[str]:
    if isinstance(written, ast.Constant):
        return {written.value}
    assert isinstance(written, ast.JoinedStr), ast.dump(written)
    parts = [p.value if isinstance(p, ast.Constant) else "{}" for p in written.values]
    return {"".join(parts).format(step) for step in StepName}


class Workers:
    """The process whose forks are the workers."""

    def __init__(self, environ: dict[str, str], log: Path) -> None:
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, str(HERE / "crash_worker.py"), ",".join(failpoints())],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                env=environ,
            )  # fmt: skip
        assert self._process.stdout.readline() == "ready\n"

    def order(self, **order: Any) -> str:
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        line = self._process.stdout.readline()
        # What a worker logs goes to stdout, too; the answer is the line that is one.
        while line and not line.startswith(("killed", "stopped", "ended")):
            line = self._process.stdout.readline()
        return line.strip()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:  # an interrupted test left a worker that cannot end
            self._process.kill()
            self._process.wait()


@dataclass
class CrashWorld:
    """One slot, leased, with a repository to publish from."""

    at: Installation
    workers: Workers
    directory: Path
    slot: Slot
    house_pid: int
    repository: Any = field(init=False)
    run_id: str = RUN
    live: str = ""
    ledgers: dict[str, set[str]] = field(default_factory=dict)
    """The migrations that a release's database had seen, by its publish."""

    def __post_init__(self) -> None:
        self.repository = make_repository(self.directory / "a repo")

    def allocate(self) -> None:
        self.at.leases.register()
        self.at.databases.recover()
        self.enter(RUN)

    def enter(self, run_id: str) -> None:
        """Give the slot to a run, which erases what the one before left."""
        self.at.allocator.allocate(run_id, "main", choose_source("seed", "v1", None))
        self.run_id, self.live, self.ledgers = run_id, "", {}

    def let_expire(self) -> None:
        """Move the lease's end into the past: tests do not sleep for time."""
        with psycopg.connect(self.at.access.control_dsn(), autocommit=True) as db:
            db.execute("UPDATE slots SET expires_at = clock_timestamp() - interval '1 second'")

    def queue_rollback(self) -> str:
        """Queue going back, or forward again, to the newest kept release that is not live."""
        target = next(r for r in self.at.rollback.list(self.slot) if r["kept"] and not r["live"])
        queue = self.at.rollback.queue
        return queue(self.slot, target["publish_id"], with_database=True)

    def queue_publish(self, asleep_in: str = "") -> str:
        """Queue a publish of a new commit with a migration of its own.

        Its `migration` or its `backend` begins with a second in which the database sleeps.
        """
        marker = f"m{next(_markers)}"
        psql = find_binaries(self.at.settings.pg_bin) / "psql"
        self.repository.commit(
            "work",
            {
                "preview.toml": PREVIEW_TOML.replace('"{port}"', '"socket"').replace(
                    'listen = "port"', 'listen = "socket"'
                )
                + '[database]\nmigrate = ["sh", "migrate.sh"]\n',
                "server.py": SOCKET_SERVER
                if asleep_in != "backend"
                else ASLEEP.replace("PSQL", str(psql)) + SOCKET_SERVER,
                "marker": marker,
                "migrate.sh": f'exec {psql} "$DATABASE_URL" -v ON_ERROR_STOP=1 -qf change.sql\n',
                "change.sql": "SET client_min_messages = warning;\n"
                f"SELECT pg_sleep({int(asleep_in == 'migration')});\n"
                "CREATE TABLE IF NOT EXISTS ledger (marker text PRIMARY KEY);\n"
                f"INSERT INTO ledger VALUES ('{marker}') ON CONFLICT DO NOTHING;\n",
            },
        )
        publish_id = self.at.publishes.queue(self.run_id, str(self.repository.path), "work")
        self.ledgers[publish_id] = {*self.ledgers.get(self.live, ()), marker}
        return publish_id

    def serve_first(self) -> None:
        """Lease the slot and publish to it, so that there is something to be served meanwhile."""
        self.allocate()
        publish_id = self.queue_publish()
        self.run_to_the_end(publish_id)
        self.require_ended(publish_id, is_undone=False)

    def run_to_the_end(
        self,
        publish_id: str,
        *lives: dict[str, str],
        last: dict[str, str] | None = None,
        trace: Path | None = None,
    ) -> int:
        """Let one worker after the other have a life, each with failpoints of its own armed.

        Returns how many were killed; the last one is not, and its way is noted in `trace`.
        """
        killed = 0
        for arm in lives:
            answer = self.workers.order(publish=publish_id, arm=arm)
            assert answer in ("killed", "ended 0"), answer
            killed += answer == "killed"
        answer = self.workers.order(
            publish=publish_id, arm=last or {}, trace=str(trace) if trace else None
        )
        assert answer == "ended 0", answer
        return killed

    def markers(self) -> set[str]:
        """The migrations that the slot's database has seen."""
        with psycopg.connect(self.at.databases.url(self.slot).text()) as db:
            return {row[0] for row in db.execute("SELECT marker FROM ledger")}

    def require_ended(self, publish_id: str, *, is_undone: bool) -> None:
        """It is live, or it has failed and what was live before still is."""
        found = self.at.publishes.get(publish_id)
        assert found["state"] == ("failed" if is_undone else "ready"), found
        if not is_undone:
            self.live = found["details"].get("rollback_to", publish_id)
        self.require_whole(self.live)

    def end_lease(self) -> None:
        self.at.keeper.release(self.slot, self.run_id)
        until(lambda: not self.strays(), f"processes are left: {self.strays()}")
        assert self.at.runtime.status(self.slot).state == "stopped"

    def require_untouched(self) -> None:
        """The slot is as its run found it: nothing is served, nothing runs, nothing is migrated."""
        assert self.at.slots.get(self.slot)["run_id"] == self.run_id
        assert self.at.web_roots.live_release(self.slot) is None
        assert self.at.runtime.status(self.slot).state == "stopped"
        until(lambda: not self.strays(), f"processes are left: {self.strays()}")
        with psycopg.connect(self.at.databases.url(self.slot).text()) as db:
            assert db.execute("SELECT to_regclass('ledger')").fetchone() == (None,)

    def require_whole(self, publish_id: str) -> None:
        """This publish is served by everyone who could serve another, and nothing is left over."""
        live = self.at.slots.get(self.slot)["publish_id"]
        assert live == publish_id, f"the control plane says {live}"
        surface = ask(self.slot.web_port, "/health", headers={"Host": self.slot.host_name}).json()
        backend = ask(self.slot.api_port, "/health").json()
        wanted = self.at.publishes.get(publish_id)["commit_sha"]
        served = [surface.get("publish_id"), surface.get("commit_sha"), backend.get("commit_sha")]
        assert served == [publish_id, wanted, wanted], f"{served} instead of {publish_id} {wanted}"
        until(lambda: not self.strays(), f"processes are left: {self.strays()}")
        status = self.at.runtime.status(self.slot)
        assert (status.publish_id, status.candidate_port) == (publish_id, None)
        # Besides the slot's own there is the private one on which the backend was a candidate.
        assert len(self.ports() - {self.slot.web_port, self.slot.api_port}) <= 1, self.ports()
        self.at.collector.collect_releases()
        kept = {path.name for path in self.at.layout.releases(self.slot).iterdir()}
        assert publish_id in kept
        assert len(kept) <= self.at.settings.keep_releases + 1, kept
        assert self.worktrees() <= kept, (self.worktrees(), kept)
        assert self.markers() == self.ledgers[publish_id]

    def strays(self) -> list[str]:
        """Processes of this installation that the house does not hold."""
        held = {entry.pid for entry in list_descendants(self.house_pid)} | {self.house_pid}
        found = [e.pid for e in list_marked(instance_id(self.at.settings.state_dir))]
        return [shown(pid) for pid in found if pid not in held]

    def ports(self) -> set[int]:
        """The TCP ports that processes below the house listen on."""
        inodes = {}
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == "0A":
                inodes[f"socket:[{columns[9]}]"] = int(columns[1].rpartition(":")[2], 16)
        found = set()
        for pid in [self.house_pid, *(e.pid for e in list_descendants(self.house_pid))]:
            for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
                try:
                    found.add(inodes.get(str(descriptor.readlink())))
                except OSError:
                    continue
        return {port for port in found if port is not None}

    def worktrees(self) -> set[str]:
        """The worktrees that git still believes in and that are there."""
        mirror = self.at.layout.mirror(str(self.repository.path))
        told = subprocess.run(
            ["git", "--git-dir", str(mirror), "worktree", "list", "--porcelain"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        paths = [Path(line[9:]) for line in told.splitlines() if line.startswith("worktree ")]
        return {path.parent.name for path in paths if path.name == "src" and path.is_dir()}

    def databases(self) -> set[str]:
        """Every database of the cluster, when all background work is done."""
        while self.at.databases.maintain():
            pass
        with psycopg.connect(self.at.access.admin_dsn()) as db:
            return {row[0] for row in db.execute("SELECT datname FROM pg_database")}


def shown(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:200]
    except OSError:
        return f"{pid} (gone)"


def until(holds: Callable[[], bool], complaint: str, limit_s: float = 30.0) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.02)


@contextmanager
def crash_world() -> Iterator[CrashWorld]:
    """A house with one slot in a short temporary directory, ended and removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="ouro-", dir="/tmp"))
    instance = make_instance(directory, SLOT_IDS_CSV="preview-1", OUROBOROS_READY_TIME_LIMIT_S="30")
    environ = dict(instance.environ)
    read, written = os.pipe()
    house = subprocess.Popen(
        [sys.executable, str(HERE / "crash_house.py"), str(written)],
        env=environ, pass_fds=(written,), start_new_session=True,
    )  # fmt: skip
    os.close(written)
    try:
        with os.fdopen(read) as said:
            told = said.readline()
        assert json.loads(told)["ok"], told
        settings = read_settings(environ)
        at = compose(settings, environ, "test")
        workers = Workers(environ, directory / "workers.log")
        try:
            yield CrashWorld(at, workers, directory, settings.pool.by_number(1), house.pid)
        finally:
            workers.close()
            at.close()
    finally:
        house.send_signal(signal.SIGTERM)
        house.wait(60)
        shutil.rmtree(directory, ignore_errors=True)
