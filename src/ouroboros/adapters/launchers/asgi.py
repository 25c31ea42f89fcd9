"""Runs an ASGI application on inherited listeners, with its own uvicorn, losing no request.

`python asgi.py app.main:app`, in the application's own environment and directory; nothing but
the standard library and that environment's uvicorn is imported. It is apart from the house
because the application's Python is not ours.

- Listeners come by the protocol of sd_listen_fds(3). The first is served at once, a second one
  after SIGUSR1: so a candidate proves itself on a private port before visitors see it.
- On SIGTERM it stops accepting (the listener lives on in its holder), answers one more request
  on each open connection with `Connection: close`, and ends when they are done.
- With `PREVIEW_WAITS` in the environment the last descriptor is no listener: the application is
  imported, and started when a byte comes from there. At end of file this process ends.
- A request for the health path with `X-Preview-Probe: 1` is answered with `X-Preview-Nonce`, so
  that whoever started this process knows which process answers.

The sockets are wrapped as what they are: `uvicorn --fd` takes a TCP socket for a unix socket and
leaves Nagle's algorithm on, which costs 40 ms a request on kept connections.
"""

import asyncio
import gc
import os
import signal
import socket
import sys
from typing import Any, Awaitable, Callable, Dict, List, MutableMapping, Optional  # noqa: UP035

import uvicorn

# Written for Python 3.8, because it runs on the application's interpreter.
# ruff: noqa: UP006, UP045

_FIRST_PASSED_FD = 3
_DRAIN_LEAST_S = 0.05
_DRAIN_MOST_S = 0.5
_LAST_RESPONSES_S = 5

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Dict[str, Any], Receive, Send], Awaitable[None]]


class _Marking:
    """The application, with the two response headers that are the launcher's own business."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._nonce = os.environ.get("PREVIEW_NONCE", "").encode()
        self._health_path = os.environ.get("PREVIEW_HEALTH_PATH", "/health")
        self.draining = False

    async def __call__(self, scope: Dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        asked = (b"x-preview-probe", b"1") in scope["headers"]
        proves = bool(self._nonce) and asked and scope["path"] == self._health_path

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start" and (proves or self.draining):
                headers = list(message.get("headers") or ())
                if proves:
                    headers.append((b"x-preview-nonce", self._nonce))
                if self.draining:
                    headers = [item for item in headers if item[0].lower() != b"connection"]
                    headers.append((b"connection", b"close"))
                message = {**message, "headers": headers}
            await send(message)

        await self._application(scope, receive, send_marked)


class _Config(uvicorn.Config):
    """uvicorn's configuration, whose loaded application is marked."""

    marking: _Marking

    def load(self) -> None:
        super().load()
        self.marking = _Marking(self.loaded_app)
        self.loaded_app = self.marking


class _Server(uvicorn.Server):
    """uvicorn's server, with a drain before its shutdown and a second listener."""

    config: _Config

    def __init__(
        self, config: _Config, public: List[socket.socket], starter: Optional[socket.socket]
    ) -> None:
        super().__init__(config)
        self._public = public
        self._starter = starter
        self._loop: Any = None
        self._promoted = False
        self._draining = False
        self._tasks: List[Any] = []  # the event loop itself refers to its tasks only weakly

    async def startup(self, sockets: Any = None) -> None:
        self._loop = asyncio.get_running_loop()
        if self._starter is not None and not await self._told_to_start(self._starter):
            self.should_exit = True
            return
        await super().startup(sockets=sockets)
        # The first look for garbage would be the first visitor's to wait for, and find nothing.
        gc.freeze()
        gc.enable()
        if self._promoted:
            await self._serve_publicly()
        if self.started and "NOTIFY_SOCKET" in os.environ:
            _tell_systemd(b"READY=1")
            self._start(_tell_alive)

    def handle_exit(self, *_: Any) -> None:
        """Begin to drain; called by uvicorn for SIGTERM and SIGINT."""
        if not self.started or self._draining:
            self.should_exit = True
            if self._starter is not None:
                self._starter.shutdown(socket.SHUT_RDWR)
            return
        self._draining = True
        self._loop.call_soon_threadsafe(self._begin_to_drain)

    def promote(self, *_: Any) -> None:
        """Serve the second listener, too; called for SIGUSR1, at any time."""
        self._promoted = True
        if self.started:
            self._loop.call_soon_threadsafe(self._start, self._serve_publicly)

    def _start(self, run: Callable[[], Any]) -> None:
        self._tasks.append(self._loop.create_task(run()))

    async def _told_to_start(self, starter: socket.socket) -> bool:
        told = await self._loop.sock_recv(starter, 1)
        self._starter = None
        starter.close()
        return bool(told)

    async def _serve_publicly(self) -> None:
        while self._public:
            listener = self._public.pop()
            server = await self._loop.create_server(
                self._make_protocol, sock=listener, backlog=self.config.backlog
            )
            self.servers.append(server)

    def _make_protocol(self) -> Any:
        make: Any = self.config.http_protocol_class
        return make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def _begin_to_drain(self) -> None:
        self.config.marking.draining = True
        for server in self.servers:
            server.close()
        self._start(self._end_when_drained)

    async def _end_when_drained(self) -> None:
        # A connection that was accepted just now may not be counted yet: wait for it.
        begun = self._loop.time()
        await asyncio.sleep(_DRAIN_LEAST_S)
        while self.server_state.connections and self._loop.time() < begun + _DRAIN_MOST_S:
            await asyncio.sleep(0.01)
        self.should_exit = True


async def _tell_alive() -> None:
    """Say to systemd that the event loop turns, as often as its watchdog wants it twice."""
    watchdog_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
    while watchdog_s:
        _tell_systemd(b"WATCHDOG=1")
        await asyncio.sleep(watchdog_s / 2)


def _tell_systemd(message: bytes) -> None:
    """One message of sd_notify(3)."""
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.connect("\0" + address[1:] if address.startswith("@") else address)
        out.send(message)


def take_listeners() -> List[socket.socket]:
    """The sockets that were passed to this process; none when they were meant for another."""
    count = int(os.environ.pop("LISTEN_FDS", "0"))
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()):
        return []
    listeners = [socket.socket(fileno=_FIRST_PASSED_FD + position) for position in range(count)]
    for listener in listeners:
        listener.set_inheritable(False)
    return listeners


def take_starter(passed: List[socket.socket]) -> Optional[socket.socket]:
    """The last of the passed sockets when this process is to wait for a byte from it."""
    if not os.environ.pop("PREVIEW_WAITS", ""):
        return None
    starter = passed.pop()
    starter.setblocking(False)
    return starter


def main() -> None:
    """Serve the application named on the command line (`module:attribute`, or `--factory` too)."""
    arguments = [item for item in sys.argv[1:] if item != "--factory"]
    if len(arguments) != 1:
        sys.exit("usage: asgi.py [--factory] module:attribute")
    # What is imported stays: looking for garbage meanwhile is a seventh of a start.
    gc.disable()
    listeners = take_listeners()
    starter = take_starter(listeners)
    if not listeners:
        sys.exit("asgi.py: no listener was passed (LISTEN_FDS, LISTEN_PID)")
    sys.path[0] = os.getcwd()  # noqa: PTH109 - where `uvicorn module:attribute` looks
    config = _Config(
        arguments[0],
        factory="--factory" in sys.argv,
        timeout_graceful_shutdown=_LAST_RESPONSES_S,
    )
    server = _Server(config, listeners[1:], starter)
    signal.signal(signal.SIGUSR1, server.promote)
    server.run(sockets=listeners[:1])
    if not server.started:
        sys.exit(3)


if __name__ == "__main__":
    main()
