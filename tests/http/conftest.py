"""The API as it is served: over a TCP port and a unix socket, on a real PostgreSQL."""

import asyncio
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import psycopg
import pytest
import uvicorn
from fastapi import FastAPI
from psycopg.rows import dict_row

from ouroboros.adapters.control.schema import migrate_control_plane
from ouroboros.adapters.unix_sockets import listen_unix
from ouroboros.bootstrap import Installation, compose
from ouroboros.entrypoints.http.__main__ import listen_tcp, serving
from ouroboros.entrypoints.http.app import make_app

BROWSER = {
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "navigate",
    "Accept": "text/html,application/xhtml+xml",
}


@dataclass
class Served:
    """A running API with the installation behind it."""

    at: Installation
    app: FastAPI
    port: int
    socket_path: Path

    def tcp(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=20)

    def local(self) -> httpx.Client:
        transport = httpx.HTTPTransport(uds=str(self.socket_path))
        return httpx.Client(base_url="http://localhost", transport=transport, timeout=20)

    def token(self, scope: str, run_id: str | None = None) -> str:
        asked = {"name": f"{scope} of {run_id}", "scope": scope, "run_id": run_id}
        with self.local() as api:
            answer = api.post("/api/tokens", json=asked)
        assert answer.status_code == 201, answer.text
        return answer.json()["token"]

    def bearer(self, scope: str, run_id: str | None = None) -> httpx.Client:
        return self.tcp(Authorization=f"Bearer {self.token(scope, run_id)}")

    def lease(self, run_id: str) -> str:
        """Give a run a slot, as far as the control plane is concerned; returns the slot."""
        self.at.leases.enqueue(run_id, f"codex/run-{run_id}")
        self.at.leases.turn()
        claim = self.at.leases.claim(run_id)
        assert claim is not None
        self.at.leases.mark_reset(claim.lease)
        return claim.lease.slot.id

    def sql(self, statement: str, **values: object) -> list[dict]:
        dsn = self.at.access.control_dsn()
        with psycopg.connect(dsn, autocommit=True, row_factory=dict_row) as db:
            cursor = db.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def end_leases(self) -> None:
        self.sql(
            "UPDATE slots SET lease_state = 'released', run_id = NULL, leased_at = NULL, "
            "expires_at = NULL WHERE lease_state = 'leased'"
        )
        self.sql("UPDATE slots SET locked_at = NULL, locked_by = NULL, locked_reason = NULL")
        self.sql(
            "UPDATE runs SET state = 'ended', queue_seq = NULL, waiting_since = NULL "
            "WHERE state <> 'ended'"
        )


@contextmanager
def serve(at: Installation, directory: Path, port: int = 0) -> Iterator[Served]:
    """Serve an installation from a thread until the block ends."""
    path = directory / "api.sock"
    listener = listen_tcp(port)
    app = make_app(at)
    server = serving(app)
    sockets = [listener, listen_unix(path)]
    thread = threading.Thread(target=_run, args=(server, sockets))
    thread.start()
    try:
        yield Served(at, app, listener.getsockname()[1], path)
    finally:
        server.handle_exit(2, None)
        thread.join(20)
        assert not thread.is_alive()


def _run(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
    asyncio.run(server.serve(sockets=sockets))


@pytest.fixture(scope="session")
def served(cluster) -> Iterator[Served]:
    """The API over the test cluster's own control database. No supervisor, no worker."""
    settings = cluster.settings
    migrate_control_plane(cluster.access.control_dsn())
    directory = Path(tempfile.mkdtemp(prefix="obh", dir="/tmp"))
    seeds = directory / "seeds"
    seeds.mkdir()
    (seeds / "v1.sql").write_text("CREATE TABLE tools (id int PRIMARY KEY, name text);\n")
    at = compose(replace(settings, seeds_dir=seeds, state_dir=settings.state_dir), {}, "test")
    at.leases.register()
    try:
        with serve(at, directory) as running:
            yield running
    finally:
        at.close()
        for path in sorted(directory.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        directory.rmdir()


@pytest.fixture(autouse=True)
def _no_leases(served: Served) -> Iterator[None]:
    yield
    served.end_leases()
