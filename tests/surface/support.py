"""A surface in a thread, releases on disk, and a backend that keeps every raw byte."""

import asyncio
import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ouroboros.entrypoints.surface.client import Client
from ouroboros.entrypoints.surface.limits import Limits
from ouroboros.entrypoints.surface.options import read_options
from ouroboros.entrypoints.surface.surface import Surface

CHECKOUT = Path(__file__).resolve().parents[2]
INDEX = b"<!doctype html><html><head><title>t</title></head><body>index</body></html>"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class WebRoot:
    """A slot's web root and its releases, laid out as a publish lays them out."""

    base: Path
    root: Path = field(init=False)
    live: Path = field(init=False)

    def __post_init__(self) -> None:
        self.root = self.base / "web-preview-1"
        self.live = self.base / "live"
        self.root.mkdir()
        (self.root / "live").symlink_to("../live")
        (self.root / "index.html").write_text("placeholder")

    def write(self, name: str, files: dict[str, bytes], **info: object) -> Path:
        directory = self.live / "releases" / name
        for path, body in files.items():
            target = directory / "web" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(body)
        (directory / "web").mkdir(parents=True, exist_ok=True)
        document = {
            "format": 1, "publish_id": name, "slot_id": "preview-1", "run_id": "run-1",
            "commit_sha": (name.encode().hex() + "0" * 40)[:40], "badge": False, **info,
        }  # fmt: skip
        (directory / "release.json").write_text(json.dumps(document))
        return directory

    def switch(self, name: str) -> None:
        link = self.live / "current.new"
        with contextlib.suppress(FileNotFoundError):
            link.unlink()
        link.symlink_to(f"releases/{name}")
        link.rename(self.live / "current")

    def publish(self, name: str, files: dict[str, bytes], **info: object) -> Path:
        directory = self.write(name, files, **info)
        self.switch(name)
        return directory

    def state(self, **document: object) -> None:
        self.live.mkdir(exist_ok=True)
        part = self.live / "state.json.new"
        part.write_text(json.dumps(document))
        part.rename(self.live / "state.json")


class RawBackend:
    """Accepts connections, keeps what each sends, and lets `script` decide what it answers.

    `script(connection, received)` is called with all bytes so far after each read; it returns
    bytes to send, or None to end the connection.
    """

    def __init__(self, listener: socket.socket | None = None):
        self.script: Callable[[socket.socket, bytes], bytes | None] = answer_ok
        self.received: list[bytes] = []
        self.listener = listener or socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def target(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def all(self) -> bytes:
        return b"".join(self.received)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.received.append(b"")
            self._open.append(connection)
            place = len(self.received) - 1
            threading.Thread(target=self._serve, args=(connection, place), daemon=True).start()

    def _serve(self, connection: socket.socket, place: int) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                self.received[place] += data
                reply = self.script(connection, self.received[place])
                if reply is None:
                    return
                if reply:
                    connection.sendall(reply)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)


def answer_ok(connection: socket.socket, received: bytes) -> bytes:
    """Answer when a head without a body, or the last chunk of one with a body, has come."""
    head, _, body = received.rpartition(b" /")[2].partition(b"\r\n\r\n")
    if b"chunked" in head:
        return OK if body.endswith(b"0\r\n\r\n") else b""
    return OK if received.endswith(b"\r\n\r\n") else b""


class RunningSurface:
    """A real surface on a real socket, in a thread of this process."""

    def __init__(self, root: Path, target: str, limits: Limits, *, uvloop: bool, hosts: str = ""):
        arguments = ["--root", str(root), "--port", "0", "--api-target", target]
        self.options = read_options([*arguments, "--allowed-hosts", hosts], {})
        self._limits = limits
        self._uvloop = uvloop
        self._ready = threading.Event()
        self.errors: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10), self.errors

    def _run(self) -> None:
        factory = None
        if self._uvloop:
            import uvloop

            factory = uvloop.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda _, context: self.errors.append(repr(context)))
        self.surface = Surface(self.options, self._limits, self.loop)
        server = await self.loop.create_server(lambda: Client(self.surface), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._stop = asyncio.Event()
        self._ready.set()
        while not self._stop.is_set():
            self.surface.tick()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 0.05)
        server.close()
        self.surface.close()
        while self.surface.clients or self.surface.pool.open:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.01)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self.errors, self.errors

    def connect(self, timeout: float = 10) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def raw(self, data: bytes, timeout: float = 5, *, half_close: bool = False) -> bytes:
        """Send bytes, read until the surface closes (or says nothing more for a moment)."""
        with self.connect(timeout) as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(data)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            return read_all(connection)

    def get(self, path: str, method: str = "GET", **headers: str) -> "Answer":
        """One request on its own connection; header names with _ for -."""
        lines = {"Host": "localhost", "Connection": "close"}
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        data = self.raw(f"{method} {path} HTTP/1.1\r\n{text}\r\n".encode("latin-1"))
        return read_answer(data, bodiless=method == "HEAD")[0]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def read_all(connection: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        while part := connection.recv(262144):
            received += part
    return received


def read_answer(data: bytes, *, bodiless: bool = False) -> tuple[Answer, bytes]:
    """Split the first answer off; fails loudly when it is not a complete one."""
    head, mark, rest = data.partition(b"\r\n\r\n")
    assert mark, f"no complete head in {data!r}"
    first, *lines = head.decode("latin-1").split("\r\n")
    match = re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", first)
    assert match, first
    headers = {}
    for line in lines:
        name, _, value = line.partition(": ")
        assert name.lower() not in headers or name.lower() == "set-cookie", f"twice: {line}"
        headers[name.lower()] = value
    status = int(match.group(1))
    body = b""
    if bodiless or status in (204, 304) or status < 200:
        pass
    elif headers.get("transfer-encoding") == "chunked":
        body, rest = read_chunks(rest)
    elif "content-length" in headers:
        length = int(headers["content-length"])
        body, rest = rest[:length], rest[length:]
        assert len(body) == length, f"{len(body)} of {length} bytes"
    else:
        body, rest = rest, b""
    return Answer(status, headers, body), rest


def read_chunks(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            trailers, _, rest = (b"\r\n" + data).partition(b"\r\n\r\n")
            return body, rest if trailers or data.startswith(b"\r\n") else data[2:]
        body += data[:length]
        assert data[length : length + 2] == b"\r\n"
        data = data[length + 2 :]


def answers_in(data: bytes) -> list[Answer]:
    found = []
    while data:
        answer, data = read_answer(data)
        found.append(answer)
    return found


@contextlib.contextmanager
def running_surface(
    root: Path, target: str = "http://127.0.0.1:9", limits: Limits | None = None,
    *, uvloop: bool = True, hosts: str = "",
) -> Iterator[RunningSurface]:  # fmt: skip
    surface = RunningSurface(root, target, limits or Limits(), uvloop=uvloop, hosts=hosts)
    try:
        yield surface
    finally:
        surface.stop()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def wait_until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
