"""Serve the API on 127.0.0.1 and on the installation's unix socket, until SIGTERM."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import anyio.to_thread
import uvicorn
from fastapi import FastAPI

from ouroboros.adapters.unix_sockets import listen_unix
from ouroboros.bootstrap import compose
from ouroboros.domain.errors import PreviewError
from ouroboros.entrypoints.http.app import make_app
from ouroboros.entrypoints.surface.supervision import Supervisor
from ouroboros.settings import Settings, read_settings

_ALIVE_EVERY_S = 5.0
_THREADS = 100


def main() -> int:
    """Run until stopped; returns the exit status."""
    try:
        settings = read_settings(os.environ)
        installation = compose(settings, os.environ, "ouroboros-api")
    except PreviewError as error:
        print(f"{error.code}: {error.message}. {error.hint}", file=sys.stderr)
        return error.exit_code
    installation.leases.register()
    app = make_app(installation)
    try:
        asyncio.run(_serve(serving(app), settings))
    finally:
        installation.close()
        (settings.run_dir / "api.sock").unlink(missing_ok=True)
    return 0


def serving(app: FastAPI) -> uvicorn.Server:
    """The server of an application. What a proxy says of addresses is judged by the gate."""
    config = uvicorn.Config(app, log_level="warning", server_header=False, proxy_headers=False)
    return _Server(config, app)


class _Server(uvicorn.Server):
    """A server that ends the streams it serves when it is asked to stop.

    Uvicorn waits for open connections, and a stream of events would stay open for ever.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then wait for what is left."""
        self._app.state.news.end()
        self._app.state.closing.set()
        await super().shutdown(sockets)


async def _serve(server: uvicorn.Server, settings: Settings) -> None:
    anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
    sockets = [listen_tcp(settings.api_port), _unix(settings.run_dir / "api.sock")]
    async with asyncio.TaskGroup() as group:
        watched = group.create_task(_tell_systemd(server))
        await server.serve(sockets=sockets)
        watched.cancel()


async def _tell_systemd(server: uvicorn.Server) -> None:
    """Say that the server is ready, and then again and again that its loop turns."""
    service_manager = Supervisor(os.environ)
    while not server.started:
        await asyncio.sleep(0.02)
    service_manager.ready()
    while True:
        service_manager.alive()
        await asyncio.sleep(_ALIVE_EVERY_S)


def listen_tcp(port: int) -> socket.socket:
    """Listen on 127.0.0.1; port 0 takes a free one.

    The protocol is named, because asyncio only then switches Nagle's algorithm off: an answer on
    a kept connection would wait 40 ms for the reader's acknowledgement.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


def _unix(path: Path) -> socket.socket:
    """A socket that only this user may connect to; one of a killed predecessor is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return listen_unix(path)


if __name__ == "__main__":
    sys.exit(main())
