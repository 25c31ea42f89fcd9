"""What a connection becomes after an upgrade: bytes from one side to the other, nothing more.

Apart from the client's and the backend's connection, which it replaces on their transports: a
tunnel has no requests, and a frame should cost one call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class TunnelEnd(asyncio.Protocol):
    """One side of a tunnel; takes the place of the protocol that read requests or answers.

    Both sides pause each other. A side that ends its direction is passed on as that; a side that
    is gone takes the other with it.
    """

    __slots__ = ("_is_closing", "_on_end", "_peer", "_write")

    def __init__(self, peer: asyncio.Transport, on_end: Callable[[], None]) -> None:
        self._peer = peer
        self._write = peer.write
        self._is_closing = peer.is_closing
        self._on_end = on_end

    def data_received(self, data: bytes) -> None:
        """Pass a piece on."""
        # The peer may be closed with its connection_lost still waiting for its turn.
        if not self._is_closing():
            self._write(data)

    def eof_received(self) -> bool:
        """This side sends no more; the other may."""
        if not self._is_closing() and self._peer.can_write_eof():
            self._peer.write_eof()
        return True

    def pause_writing(self) -> None:
        """This side does not keep up."""
        self._peer.pause_reading()

    def resume_writing(self) -> None:
        """This side has caught up."""
        if not self._is_closing():
            self._peer.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """This side is gone; what it has said is still delivered."""
        self._peer.close()
        self._on_end()


def join(
    client: asyncio.Transport,
    backend: asyncio.Transport,
    on_client_end: Callable[[], None],
    on_backend_end: Callable[[], None],
) -> None:
    """Make a tunnel of two transports."""
    client.set_protocol(TunnelEnd(backend, on_client_end))
    backend.set_protocol(TunnelEnd(client, on_backend_end))
    client.resume_reading()
    backend.resume_reading()
