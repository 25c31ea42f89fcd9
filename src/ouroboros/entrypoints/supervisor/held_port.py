"""The listener of a slot's API port, held while processes behind it come and go."""

import asyncio
import contextlib
import socket

from ouroboros.adapters.listeners import open_listener

_HEAD_LIMIT_S = 5.0
_BODY = b'{"status": 503, "title": "The backend of this preview keeps ending; see its log."}\n'
_APOLOGY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
    b"Connection: close\r\nCache-Control: no-store\r\nContent-Length: %d\r\n\r\n%b"
) % (len(_BODY), _BODY)


class HeldPort:
    """A port that is bound once and stays bound until it is released."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener: socket.socket | None = None
        self._apologist: asyncio.Server | None = None

    @property
    def listener(self) -> socket.socket | None:
        """The socket to hand to a backend, while it is held."""
        return self._listener

    def hold(self) -> socket.socket:
        """Bind the port unless it is held; raises `port_in_use`."""
        if self._listener is None:
            self._listener = open_listener(self._port)
        return self._listener

    def release(self) -> None:
        """Close the port; may be repeated."""
        self.stop_apologizing()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def apologize(self) -> None:
        """Answer 503 in place of a backend that was given up: a silent port makes visitors hang."""
        if self._listener is not None and self._apologist is None:
            self._apologist = await asyncio.start_server(_apologize, sock=self._listener.dup())

    def stop_apologizing(self) -> None:
        """Leave the connections to a backend again."""
        if self._apologist is not None:
            self._apologist.close()
            self._apologist = None


async def _apologize(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(
        OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
    ):
        async with asyncio.timeout(_HEAD_LIMIT_S):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(_APOLOGY)
            await writer.drain()
    writer.close()
