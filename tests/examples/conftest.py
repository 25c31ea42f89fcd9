"""The example application as a slot runs it: its own environment, a seeded database, a process."""

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from psycopg import sql
from tests.postgres import TestCluster

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SEEDS = ROOT / "infra" / "db" / "preview" / "seeds"
_PASSWORD = "toolshed"
_numbers = itertools.count(1)


def run(*argv: object, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> str:
    """Run a command that must succeed; its output stands in the failure otherwise."""
    done = subprocess.run(
        [str(part) for part in argv],
        cwd=cwd,
        env=None if env is None else dict(env),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def process(*argv: object, env: Mapping[str, str], cwd: Path, **more: Any) -> Iterator[None]:
    """A server for the time of a test, ended by SIGTERM, which it has to obey."""
    child = subprocess.Popen([str(part) for part in argv], cwd=cwd, env=dict(env), **more)
    try:
        yield
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(10)
            raise


def until_it_answers(client: httpx.Client, path: str = "/health") -> httpx.Response:
    """Ask again until a server that is starting answers."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return client.get(path)
        except httpx.ConnectError:
            assert time.monotonic() < deadline, "the server did not start within 20 s"
            time.sleep(0.05)


@dataclass(frozen=True)
class SlotDatabase:
    """A database of an ordinary role with the same name, reached as a slot reaches its own."""

    cluster: TestCluster
    name: str

    def psql(self, *arguments: object) -> str:
        binary = self.cluster.server.bin_dir / "psql"
        return run(binary, "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", self.url, *arguments)

    def load(self, version: str) -> None:
        self.psql("-1", "-o", os.devnull, "-f", SEEDS / f"{version}.sql")

    def dump(self) -> str:
        """All rows and the schema as text; pg_dump's random restrict key left out."""
        binary = self.cluster.server.bin_dir / "pg_dump"
        lines = run(binary, "-d", self.url).splitlines()
        return "\n".join(line for line in lines if "restrict " not in line)

    @property
    def url(self) -> str:
        return (
            f"postgresql://{self.name}:{_PASSWORD}@/{self.name}"
            f"?host={self.cluster.server.socket_dir}&port={self.cluster.access.port}"
        )

    def environment(self, **changes: str) -> dict[str, str]:
        """What a slot's backend is started with, and nothing else."""
        values = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "SLOT_ID": "preview-1",
            "SLOT_NUM": "1",
            "SLOT_BACKEND_PORT": "8101",
            "SLOT_DB_NAME": self.name,
            "DATABASE_URL": self.url,
            "RUN_ID": "run-7",
            "COMMIT_SHA": "c0ffee",
            "PREVIEW_URL": "https://preview1.example.com",
        }
        return values | changes


@contextlib.contextmanager
def slot_database(cluster: TestCluster) -> Iterator[SlotDatabase]:
    """An empty database whose role may create in `public` and log in nowhere else."""
    name = f"toolshed_{os.getpid()}_{next(_numbers)}"
    role = sql.Identifier(name)
    with cluster.superuser() as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(_PASSWORD))
        )
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
        try:
            yield SlotDatabase(cluster, name)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(role))
            connection.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.fixture
def database(cluster: TestCluster) -> Iterator[SlotDatabase]:
    with slot_database(cluster) as empty:
        yield empty


@pytest.fixture(scope="module")
def seeded(cluster: TestCluster) -> Iterator[SlotDatabase]:
    """A database with seed v1, shared by the tests of a module."""
    with slot_database(cluster) as seeded:
        seeded.load("v1")
        yield seeded


@pytest.fixture(scope="session")
def backend_bin(request: pytest.FixtureRequest) -> Path:
    """The `bin` directory of the backend's locked environment.

    It stays in pytest's cache, because compiling its bytecode takes longer than all its starts;
    `uv sync` makes it what the lock file says each time.
    """
    uv = shutil.which("uv", path=f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        pytest.skip("uv is not on PATH: the example backend's environment cannot be made")
    assert request.config.cache is not None
    environment = request.config.cache.mkdir("toolshed") / "venv"
    project = EXAMPLES / "toolshed" / "backend"
    argv = (uv, "sync", "--frozen", "--no-dev", "--quiet", "--project", project)
    run(*argv, env=os.environ | {"UV_PROJECT_ENVIRONMENT": str(environment)})
    return environment / "bin"


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository that a demo publishes from."""
    target = tmp_path_factory.mktemp("repository") / "toolshed"
    run("python3", EXAMPLES / "make_repository.py", target)
    return target


@contextlib.contextmanager
def running_backend(
    binaries: Path, database: SlotDatabase, directory: Path
) -> Iterator[httpx.Client]:
    """A backend directory's `app.main:app` on a slot's database."""
    port = free_port()
    argv = (binaries / "uvicorn", "app.main:app", "--port", port, "--log-level", "warning")
    with (
        process(*argv, env=database.environment(), cwd=directory),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client,
    ):
        until_it_answers(client)
        yield client


def alembic(binaries: Path, database: SlotDatabase, directory: Path, *commands: str) -> str:
    """Run Alembic's commands one after the other in one process."""
    program = "import sys, alembic.config as a; [a.main(c.split()) for c in sys.argv[1:]]"
    argv = (binaries / "python", "-c", program, *commands)
    return run(*argv, env=database.environment(), cwd=directory)
