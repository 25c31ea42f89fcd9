"""Serve both sockets, which systemd holds, until SIGTERM. What runs in units goes on running."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any

from ouroboros.domain.errors import BadInput, PreviewError
from ouroboros.entrypoints.steward.backend import UnitBackend
from ouroboros.entrypoints.steward.commands import CommandSocket
from ouroboros.entrypoints.supervisor.backends import Backends, Fences
from ouroboros.entrypoints.supervisor.requests import RequestSocket
from ouroboros.entrypoints.surface.supervision import Supervisor
from ouroboros.plans.layout import Layout
from ouroboros.plans.units.branches import cpu_share
from ouroboros.settings import Settings, read_settings

_FIRST_PASSED_FD = 3
_ALIVE_EVERY_S = 5.0


def main() -> int:
    """Run until stopped; returns the exit status."""
    try:
        settings = read_settings(os.environ)
        requests, commands = _take_listeners()
    except PreviewError as error:
        sys.stderr.write(f"{error}. {error.hint}\n")
        return error.exit_code
    asyncio.run(_serve(settings, requests, commands))
    return 0


async def _serve(settings: Settings, requests: socket.socket, commands: socket.socket) -> None:
    directory = settings.steward_dir
    layout = Layout(settings.state_dir)
    share = cpu_share(os.cpu_count() or 1, len(settings.pool))
    slots = {
        slot.id: UnitBackend(slot, directory, layout, settings.backend_egress, share)
        for slot in settings.pool
    }
    backends = Backends(settings.pool, slots, Fences(directory / "backend-fences.json"))

    async def answer(verb: str, request: Mapping[str, Any]) -> dict[str, Any]:
        if not verb.startswith("backend."):
            raise BadInput("bad_request", f"{verb[:40]!r} is no request")
        return await backends.answer(verb.removeprefix("backend."), request)

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await RequestSocket(settings.run_dir / "supervisor.sock", answer).open(requests)
    CommandSocket(commands, settings, directory).open()
    service_manager = Supervisor(os.environ)
    service_manager.ready()
    while not stop.is_set():
        service_manager.alive()
        try:
            async with asyncio.timeout(_ALIVE_EVERY_S):
                await stop.wait()
        except TimeoutError:
            continue


def _take_listeners() -> tuple[socket.socket, socket.socket]:
    """The two listeners of ouroboros-steward.socket, in its order (sd_listen_fds(3))."""
    ours = os.environ.get("LISTEN_PID") == str(os.getpid())
    if not ours or os.environ.get("LISTEN_FDS") != "2":
        raise BadInput(
            "no_listeners",
            "the steward takes its sockets from systemd",
            "systemctl start ouroboros-steward.socket ouroboros-steward.service",
        )
    first, second = (socket.socket(fileno=_FIRST_PASSED_FD + position) for position in (0, 1))
    return first, second


if __name__ == "__main__":
    sys.exit(main())
