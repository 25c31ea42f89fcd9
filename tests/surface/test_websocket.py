"""WebSocket through the surface is WebSocket without it, byte for byte, case by case.

The cases follow the sections of Autobahn's suite (whose released package is Python 2 code and does
not start on Python 3). Each is played to a server directly and through the surface, as the same raw
frames; both clients must hear the same bytes and the same end.
"""

import codecs
import contextlib
import random
import socket
import struct
import threading
import zlib

import pytest
from tests.surface.support import INDEX, WebRoot, running_surface

TEXT, BINARY, CONTINUED, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
HELLO = (
    b"GET /api/socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
KEY = b"\x37\xfa\x21\x3d"


def unmasked(key: bytes, body: bytes) -> bytes:
    keys = (key * (len(body) // 4 + 1))[: len(body)]
    whole = int.from_bytes(body, "big") ^ int.from_bytes(keys, "big")
    return whole.to_bytes(len(body), "big")


def frame(kind: int, body: bytes = b"", *, final: bool = True, bits: int = 0, masked: bool = True):
    """One frame of a client (RFC 6455, section 5.2)."""
    first = (0x80 if final else 0) | bits | kind
    mask = 0x80 if masked else 0
    if len(body) < 126:
        head = struct.pack("!BB", first, mask | len(body))
    elif len(body) < 65536:
        head = struct.pack("!BBH", first, mask | 126, len(body))
    else:
        head = struct.pack("!BBQ", first, mask | 127, len(body))
    if not masked:
        return head + body
    return head + KEY + unmasked(KEY, body)


def bye(code: int = 1000, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


def packed(body: bytes) -> bytes:
    """A message as permessage-deflate sends it (RFC 7692, section 7.2.1)."""
    deflate = zlib.compressobj(wbits=-15)
    return (deflate.compress(body) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


def fragments(kind: int, body: bytes, size: int) -> bytes:
    """A message in frames of `size`, a ping between them."""
    parts = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    out = []
    for at, part in enumerate(parts):
        out.append(frame(kind if at == 0 else CONTINUED, part, final=at == len(parts) - 1))
        if at == 0:
            out.append(frame(PING, b"between"))
    return b"".join(out)


SIZES = (0, 1, 125, 126, 127, 128, 65535, 65536, 300_000)
NOISE = random.Random(1).randbytes(1_000_000)
CASES = {
    **{f"1 text of {n}": frame(TEXT, b"*" * n) for n in SIZES},
    **{f"1 binary of {n}": frame(BINARY, NOISE[:n]) for n in SIZES},
    **{f"2 ping of {n}": frame(PING, b"p" * n) for n in (0, 1, 125)},
    "2 ping that is too long": frame(PING, b"p" * 126),
    "2 pong unasked": frame(PONG, b"x") + frame(PING, b"y"),
    "2 ten pings": b"".join(frame(PING, b"%d" % n) for n in range(10)),
    **{f"3 reserved bits {b:02x}": frame(TEXT, b"x", bits=b) for b in (0x10, 0x20, 0x40, 0x70)},
    **{f"4 opcode {n}": frame(n, b"x") for n in (3, 5, 7, 11, 13, 15)},
    "5 fragments of a text": fragments(TEXT, b"hello world", 3),
    "5 fragments of a binary": fragments(BINARY, NOISE[:5000], 100),
    "5 a continuation of nothing": frame(CONTINUED, b"x"),
    "5 a text in a text": frame(TEXT, b"a", final=False) + frame(TEXT, b"b"),
    "5 a ping in fragments": frame(PING, b"a", final=False),
    "5 an end that never comes": frame(TEXT, b"a", final=False),
    "6 good UTF-8": frame(TEXT, "κόσμε \U0001f600".encode()),
    "6 UTF-8 split in a character": fragments(TEXT, "κόσμε".encode(), 1),
    "6 bad UTF-8": frame(TEXT, b"\xce\xba\xed\xa0\x80"),
    "6 overlong UTF-8": frame(TEXT, b"\xc0\xaf"),
    "6 NUL": frame(TEXT, b"\0"),
    **{f"7 close with {n}": bye(n) for n in (1000, 1001, 1011, 3000, 4999)},
    **{f"7 close with the bad {n}": bye(n) for n in (0, 999, 1004, 1005, 1006, 5000)},
    "7 close with a reason": bye(1000, b"done"),
    "7 close with a long reason": bye(1000, b"r" * 123),
    "7 close with a bad reason": bye(1000, b"\xff"),
    "7 close without a code": frame(CLOSE),
    "7 close with half a code": frame(CLOSE, b"\x03"),
    "7 close and then more": bye() + frame(TEXT, b"late"),
    "7 a frame without a mask": frame(TEXT, b"x", masked=False),
    "9 a megabyte": frame(BINARY, NOISE),
    "9 a megabyte in fragments": fragments(BINARY, NOISE, 4096),
    "10 thirty messages": b"".join(frame(TEXT, b"%d" % n * n) for n in range(30)),
    "12 deflate": frame(TEXT, packed(b"hello " * 100), bits=0x40),
    "12 deflate of noise": frame(BINARY, packed(NOISE[:70_000]), bits=0x40),
    "12 deflate that is broken": frame(TEXT, b"\xff\xff\xff", bits=0x40),
}


class Broken(Exception):
    """The client broke the protocol; the code says how (RFC 6455, section 7.4.1)."""

    def __init__(self, code: int) -> None:
        self.code = code


class Echo:
    """A server's end of one connection: sends every frame back, in the order in which they come.

    It answers each frame before it looks at the next, so what it says depends on the bytes it
    hears and not on how they were cut; servers of libraries see an end before what it follows.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.file = connection.makefile("rb")
        self.extended = 0
        self.message: int | None = None
        self.text = b""

    def serve(self) -> None:
        with self.connection, contextlib.suppress(OSError, EOFError):
            self.shake_hands()
            try:
                while self.answer(*self.read()):
                    pass
            except Broken as error:
                self.say(CLOSE, struct.pack("!H", error.code))
            self.connection.shutdown(socket.SHUT_WR)
            while self.connection.recv(65536):
                pass

    def shake_hands(self) -> None:
        lines = []
        while (line := self.file.readline()) not in (b"\r\n", b""):
            lines.append(line.strip().lower())
        self.extended = 0x40 * (DEFLATE.strip().lower() in lines)
        assert any(line.startswith(b"sec-websocket-key: ") for line in lines)
        self.connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            + (DEFLATE if self.extended else b"")
            + b"\r\n"
        )

    def take(self, size: int) -> bytes:
        data = self.file.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def read(self) -> tuple[int, int, bytes]:
        first, second = self.take(2)
        kind, size = first & 15, second & 127
        if size == 126:
            size = struct.unpack("!H", self.take(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self.take(8))[0]
        if first & 0x70 & ~self.extended or kind not in (0, 1, 2, 8, 9, 10) or second < 128:
            raise Broken(1002)
        if kind >= CLOSE and (size > 125 or first < 128):
            raise Broken(1002)
        return first, kind, unmasked(self.take(4), self.take(size))

    def answer(self, first: int, kind: int, body: bytes) -> bool:
        if kind == CLOSE:
            self.check_close(body)
            self.say(CLOSE, body)
        elif kind == PING:
            self.say(PONG, body)
        elif kind != PONG:
            if (kind == CONTINUED) != (self.message is not None):
                raise Broken(1002)
            self.message = kind if kind != CONTINUED else self.message
            self.check_text(body, is_last=first >= 128)
            self.say(first & 0x7F, body, final=first >= 128)
            self.message = None if first >= 128 else self.message
        return kind != CLOSE

    def check_text(self, body: bytes, *, is_last: bool) -> None:
        if self.message != TEXT or self.extended:
            return
        self.text += body
        try:
            codecs.getincrementaldecoder("utf-8")().decode(self.text, final=is_last)
        except UnicodeDecodeError:
            raise Broken(1007) from None
        self.text = b"" if is_last else self.text

    def check_close(self, body: bytes) -> None:
        code = struct.unpack("!H", body[:2])[0] if len(body) > 1 else 1000 if not body else 0
        if not (1000 <= code <= 1011 or 3000 <= code <= 4999) or code in (1004, 1005, 1006):
            raise Broken(1002)
        if body[2:].decode("utf-8", "replace").encode() != body[2:]:
            raise Broken(1007)

    def say(self, kind: int, body: bytes, *, final: bool = True) -> None:
        self.connection.sendall(frame(kind, body, final=final, masked=False))


@pytest.fixture(scope="module")
def server():
    """The port of a WebSocket server that sends everything back."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                echo = Echo(listener.accept()[0])
                threading.Thread(target=echo.serve, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture(scope="module", params=[True, False], ids=["uvloop", "asyncio"])
def surface(request, server, tmp_path_factory):
    web = WebRoot(tmp_path_factory.mktemp("websocket"))
    web.publish("one", {"index.html": INDEX})
    with running_surface(web.root, f"http://127.0.0.1:{server}", uvloop=request.param) as running:
        yield running


def play(port: int, hello: bytes, frames: bytes, step: int) -> bytes:
    """Send frames in pieces of `step` bytes; all that comes back after the handshake."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(hello + b"\r\n")
        received = b""
        while b"\r\n\r\n" not in received:
            received += client.recv(65536)
        assert received.startswith(b"HTTP/1.1 101"), received

        def send() -> None:
            try:
                for at in range(0, len(frames), step):
                    client.sendall(frames[at : at + step])
            except OSError:
                return  # the server has closed, as some cases want

        sender = threading.Thread(target=send)
        sender.start()
        parts = [received.partition(b"\r\n\r\n")[2]]
        try:
            while part := client.recv(65536):
                parts.append(part)
        except ConnectionResetError:
            pass  # it closed with bytes of ours unread: the end of what it said is all the same
        sender.join(30)
        return b"".join(parts)


@pytest.mark.parametrize("name", CASES)
def test_a_server_hears_and_says_the_same_through_the_surface(server, surface, name):
    frames = CASES[name] + bye()
    hello = HELLO + (DEFLATE if name.startswith("12") else b"")
    steps = (len(frames), 997 if len(frames) > 2000 else 1)
    for step in steps:
        direct = play(server, hello, frames, step)
        assert play(surface.port, hello, frames, step) == direct
        assert direct, "the server said nothing: the case proves nothing"


def test_many_at_once_do_not_mix(server, surface):
    def talk(number: int) -> None:
        frames = b"".join(frame(TEXT, b"%d:%d" % (number, turn)) for turn in range(50)) + bye()
        heard[number] = play(surface.port, HELLO, frames, 41)

    heard: dict[int, bytes] = {}
    threads = [threading.Thread(target=talk, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for number in range(30):
        wanted = b"".join(
            frame(TEXT, b"%d:%d" % (number, turn), masked=False) for turn in range(50)
        )
        assert heard[number].startswith(wanted)
