"""A WebSocket echo server and a load client for bench/surface.py.

Usage: websocket.py server PORT | websocket.py client PORT CONNECTIONS SECONDS
"""

import asyncio
import json
import sys
import time

import uvloop

# One masked text frame of 32 bytes (RFC 6455, section 5.2); the echo does not look inside.
FRAME = b"\x81\xa0" + b"\0\0\0\0" + b"x" * 32
ACCEPT = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


PATH = "/api/ws"


class Echo(asyncio.Protocol):
    """Accepts the upgrade, then sends everything back."""

    def connection_made(self, transport):
        self.transport = transport
        self.is_open = False

    def data_received(self, data):
        if self.is_open:
            self.transport.write(data)
        elif data.endswith(b"\r\n\r\n"):
            self.is_open = True
            self.transport.write(ACCEPT)


class Load(asyncio.Protocol):
    """Sends a frame, waits for it, sends the next."""

    def __init__(self, times, port):
        self.times = times
        self.port = port

    def connection_made(self, transport):
        self.transport = transport
        self.is_open = False
        transport.write(
            f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data):
        if not self.is_open:
            if not data.startswith(b"HTTP/1.1 101"):
                raise SystemExit(f"no upgrade: {data[:200]!r}")
            self.is_open = True
        else:
            self.times.append(time.perf_counter() - self.sent)
        self.sent = time.perf_counter()
        self.transport.write(FRAME)


async def serve(port):
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def load(port, connections, seconds):
    times = []
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Load(times, port), "127.0.0.1", port)
        for _ in range(connections)
    ]
    times.clear()
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    spent = time.perf_counter() - began
    count = len(times)
    for transport, _ in made:
        transport.abort()
    p99 = sorted(times)[int(count * 0.99) - 1] * 1000 if count else 0
    print(json.dumps({"rate": count / spent, "p99_ms": p99}))


if __name__ == "__main__":
    if sys.argv[1] == "server":
        uvloop.run(serve(int(sys.argv[2])))
    else:
        uvloop.run(load(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
