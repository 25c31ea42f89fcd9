"""The process around a surface: its socket, its signals, its first and its last line.

Apart from the surface, because here things happen once: the port is taken (or its holder is
named), SIGTERM drains, and the exit code says how it went.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import gc
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Mapping, Sequence

from ouroboros.entrypoints.surface.client import Client
from ouroboros.entrypoints.surface.limits import Limits
from ouroboros.entrypoints.surface.metrics import MetricsConnection
from ouroboros.entrypoints.surface.options import BadOptions, Options, read_options, usage
from ouroboros.entrypoints.surface.supervision import Supervisor
from ouroboros.entrypoints.surface.surface import TICK_S, Surface

IDLE_GRACE_S = 0.5
SETTLED_S = 1.0
COMMAND = "run-web-surface"


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a surface until SIGTERM or SIGINT. Returns the exit code (0, 1 or 2)."""
    if not {"-h", "--help"}.isdisjoint(arguments):
        print(usage())
        return 0
    try:
        options = read_options(arguments, environment)
    except BadOptions as error:
        hint = "run-web-surface.py --help lists the options"
        say({"ok": False, "error": "bad_options", "message": str(error), "hint": hint})
        return 2
    try:
        listener = listen(options, environment)
    except OSError as error:
        return explain(options, error)
    raise_descriptor_limit()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(serve(options, Limits(), listener, environment))


def say(document: dict[str, object]) -> None:
    """Print the one JSON document of this command (CONTRACT: one on stdout)."""
    print(json.dumps({"command": COMMAND, **document}), flush=True)


def loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """uvloop's loop where it can be imported, else asyncio's own."""
    if os.environ.get("WEB_EVENT_LOOP") == "asyncio":
        return None
    try:
        from uvloop import Loop  # noqa: PLC0415 - it may not be there
    except ImportError:
        return None
    return Loop


def listen(options: Options, environment: Mapping[str, str]) -> socket.socket:
    """Take the socket that systemd or a supervisor hands over, or bind the port.

    The hand-over is that of sd_listen_fds(3). Raises `OSError`.
    """
    if environment.get("LISTEN_PID") == str(os.getpid()) and environment.get("LISTEN_FDS"):
        listener = socket.socket(fileno=3)
    else:
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((options.host.strip("[]"), options.port))
            listener.listen(1024)
        except OSError:
            listener.close()
            raise
    listener.setblocking(False)
    return listener


def explain(options: Options, error: OSError) -> int:
    """Say why the port could not be had; a surface like this one on it is no failure."""
    if error.errno == errno.EADDRINUSE:
        from ouroboros.entrypoints.surface import occupant  # noqa: PLC0415 - not for a good start

        health = occupant.surface_health(options.host, options.port)
        if health.get("root") == options.root and health.get("slot_id") == options.slot_id:
            running = {"pid": health.get("pid"), "root": options.root, "port": options.port}
            say({"ok": True, "already_serving": True, "slot_id": options.slot_id, **running})
            return 0
        holder = occupant.describe(options.port)
        message = f"Port {options.port} is held by {holder['description']}."
        hint = "End that process or choose another --port."
        say({"ok": False, "error": "port_in_use", "message": message, "hint": hint, **holder})
        return 1
    message = f"Cannot listen on {options.host}:{options.port}: {os.strerror(error.errno or 0)}."
    hint = "Check --host and --port."
    say({"ok": False, "error": "cannot_listen", "message": message, "hint": hint})
    return 1


def raise_descriptor_limit() -> None:
    """Use all the descriptors that the system allows this process."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def serve(
    options: Options, limits: Limits, listener: socket.socket, environment: Mapping[str, str]
) -> int:
    """Serve until told to stop, then drain: answers in progress are finished."""
    loop = asyncio.get_running_loop()
    surface = Surface(options, limits, loop)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(lambda: Client(surface), sock=listener, backlog=1024)
    host, port = listener.getsockname()[:2]
    say({"ok": True, "slot_id": options.slot_id, "url": f"http://{host}:{port}/", "port": port,
         "root": options.root, "pid": os.getpid()})  # fmt: skip
    metrics = await open_metrics(options.control_socket, surface)
    supervisor = Supervisor(environment)
    supervisor.ready()
    loop.call_later(SETTLED_S, settle)
    ticker = asyncio.ensure_future(tick(surface, supervisor))
    await stop.wait()
    supervisor.stopping()
    server.close()
    await drain(surface, limits)
    ticker.cancel()
    surface.close()
    if metrics is not None:
        metrics.close()
        remove(options.control_socket)
    return 0


def settle() -> None:
    """Some time after the start: what is there now stays, what only the start needed goes.

    The collector, which the script has kept out of the start, need not look at it again; free
    memory goes back to the system (malloc_trim(3), where there is one).
    """
    gc.collect()
    gc.freeze()
    gc.enable()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


async def open_metrics(path: str, surface: Surface) -> asyncio.Server | None:
    """Listen for questions about metrics on a socket that only this user can open."""
    if not path:
        return None
    remove(path)
    before = os.umask(0o177)
    try:
        return await surface.loop.create_unix_server(lambda: MetricsConnection(surface), path)
    finally:
        os.umask(before)


def remove(path: str) -> None:
    """Remove a socket's name that may be there from a process that was killed."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


async def tick(surface: Surface, supervisor: Supervisor) -> None:
    """Keep the surface's clock, and tell the watchdog that it is kept."""
    while True:
        surface.tick()
        supervisor.alive()
        await asyncio.sleep(TICK_S)


async def drain(surface: Surface, limits: Limits) -> None:
    """Give idle connections a moment for a last request and the others time to end."""
    surface.begin_drain()
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() - began < limits.drain_s:
        if surface.is_drained(patient=loop.time() - began < IDLE_GRACE_S):
            return
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
