"""One connection of a client: heads in, answers out, one request at a time.

Apart as the only place that holds a client's socket. It knows in which phase a request is; what
is answered is decided elsewhere (static, pages), and a proxied request is an exchange.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from ouroboros.entrypoints.surface import reply
from ouroboros.entrypoints.surface.exchange import Exchange
from ouroboros.entrypoints.surface.framing import Body
from ouroboros.entrypoints.surface.intake import read_one
from ouroboros.entrypoints.surface.refusal import Refusal

if TYPE_CHECKING:
    from ouroboros.entrypoints.surface.frame import Frame
    from ouroboros.entrypoints.surface.request import Line, Request
    from ouroboros.entrypoints.surface.sender import FileSender
    from ouroboros.entrypoints.surface.surface import Surface
    from ouroboros.entrypoints.surface.view import View

IDLE, EXCHANGING, SENDING, SKIPPING, LINGERING, TUNNEL, ENDED = range(7)
AHEAD_BYTES = 64 * 1024


class Client(asyncio.Protocol):
    """A client's connection. `since` is when its phase began or last made progress."""

    __slots__ = (
        "_reading", "ahead", "body", "ended_at", "exchange", "frame", "is_stalled", "line",
        "peer", "phase", "sender", "since", "surface", "taken", "transport", "trusted",
    )  # fmt: skip

    def __init__(self, surface: Surface) -> None:
        self.surface = surface
        self.ahead = b""  # bytes that have come and are not used yet
        self.body: Body | None = None
        self._reading = False
        self.sender: FileSender | None = None
        self.taken = 0
        # The request line that came last, and what requests look like that repeat but for a value.
        self.line: Line | None = None
        self.frame: Frame | None = None
        self.exchange: Exchange | None = None
        self.is_stalled = False
        self.phase = IDLE
        self.since = surface.now
        self.ended_at = 0.0

    # -- the life of the connection ------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in, or turn it away when there are too many."""
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0].encode() if isinstance(peer, tuple) else b"127.0.0.1"
        self.trusted = self.peer.startswith(b"127.") or self.peer == b"::1"
        self.surface.clients.add(self)
        if len(self.surface.clients) > self.surface.limits.connections:
            reply.refuse(self, Refusal(503, "too_many_connections", "Too many connections."), None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The client has gone; whatever was done for it ends."""
        self.surface.clients.discard(self)
        self.phase = ENDED
        self.sender = None
        if self.exchange is not None:
            self.exchange.abandon()
            self.exchange = None

    def eof_received(self) -> bool:
        """The client sends no more; it may still read an answer in progress."""
        self.ended_at = self.surface.now
        return self.phase in (EXCHANGING, SENDING)

    def pause_writing(self) -> None:
        """The client reads slower than it is answered: stop what feeds it."""
        self.is_stalled = True
        self.since = self.surface.now
        if self.exchange is not None and self.exchange.upstream is not None:
            self.exchange.upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up.

        What follows waits for its turn: asyncio ends a transport twice that is closed in here.
        """
        self.is_stalled = False
        self.since = self.surface.now
        if self.sender is None and self.exchange is not None:
            if self.exchange.upstream is not None:
                self.exchange.upstream.transport.resume_reading()
        elif self.sender is not None or self.phase == IDLE:
            self.surface.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self.is_stalled:
            return
        if self.sender is not None:
            reply.send_file(self)
        elif self.phase == IDLE:
            self._next()

    # -- bytes in ------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client; the phase says what they are."""
        surface = self.surface
        if self.phase != IDLE:
            self._take(data)
            return
        if surface.changed(0):
            surface.refresh()
        if self.ahead or self.is_stalled:
            self._read(self.ahead + data)
            return
        self.since = surface.now
        ready = surface.memo.known.get(data)
        if ready is None and self.frame is not None:
            ready = self.frame.known(data, surface)
        if ready is None:
            self._read(data)
        elif isinstance(ready, tuple):
            if surface.log is not None:
                reply.log(self, surface.grammar.read(data), ready[0], ready[3])
            reply.send_ready(self, ready)
        else:
            self.begin_exchange(ready, surface.view)

    def _take(self, data: bytes) -> None:
        """Take bytes that come while a request is answered."""
        if self.phase == EXCHANGING:
            rest = cast(Exchange, self.exchange).take(data)
            if rest:
                self._hold(rest)
        elif self.phase == SKIPPING:
            self._skip(data)
        elif self.phase == LINGERING:
            self.taken += len(data)
            if self.taken > self.surface.limits.linger_bytes:
                self.transport.abort()
        else:
            self._hold(data)

    def _hold(self, data: bytes) -> None:
        self.ahead += data
        if len(self.ahead) > AHEAD_BYTES:
            self.transport.pause_reading()

    def _read(self, data: bytes) -> None:
        """Answer what is in `data` until a head is incomplete or a request takes time.

        A loop, and not each request calling the next: a thousand requests may come in one read.
        """
        self.ahead = data
        self._reading = True
        while self.ahead and self.phase == IDLE and not self.is_stalled:
            if not read_one(self, self.ahead):
                break
        self._reading = False
        if self.is_stalled and self.ahead:
            self.transport.pause_reading()
        elif self.ended_at and self.phase == IDLE:
            self.transport.close()

    def begin_exchange(self, request: Request, view: View) -> None:
        """Hand a request to the backend."""
        self.phase = EXCHANGING
        self.exchange = Exchange(self.surface, self, request, view, self.body)
        try:
            self.surface.pool.submit(self.exchange)
        except Refusal as refusal:
            self.exchange = None
            reply.refuse(self, refusal, request)

    def _next(self) -> None:
        """Go on with what the client has sent ahead."""
        self.phase = IDLE
        self.since = self.surface.now
        if self._reading:
            return
        if self.ahead:
            self.transport.resume_reading()
            if self.surface.changed(0):
                self.surface.refresh()
            self._read(self.ahead)
        elif self.ended_at:
            self.transport.close()

    def _skip(self, data: bytes) -> None:
        """Read over the body of a request that was answered without it."""
        body = cast(Body, self.body)
        self.taken += len(data)
        try:
            _, self.ahead = body.feed(data)
        except Refusal:
            self._close()
            return
        if body.done:
            self._next()

    # -- the end of an answer ------------------------------------------------------------------

    def begin_sending(self, sender: FileSender) -> None:
        """A file is on its way; requests sent ahead wait."""
        self.sender = sender
        self.phase = SENDING
        reply.send_file(self)

    def after(self, *, keep: bool) -> None:
        """An answer is complete: skip what is left of the request, go on, or close."""
        if not keep:
            self._close()
        elif self.body is not None and not self.body.done:
            self.phase = SKIPPING
            self.taken = 0
            data, self.ahead = self.ahead, b""
            if data:
                self._skip(data)
        elif self.phase != IDLE:
            self._next()

    def _close(self) -> None:
        if self.ahead or (self.body is not None and not self.body.done):
            self.linger()
        else:
            self.phase = LINGERING
            self.transport.close()

    def linger(self) -> None:
        """Close, but read on for a moment: a reset could destroy the answer on its way."""
        self.phase = LINGERING
        self.since = self.surface.now
        self.taken = 0
        self.ahead = b""
        if self.ended_at or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.resume_reading()
            self.transport.write_eof()

    # -- what an exchange says -----------------------------------------------------------------

    def exchange_ended(self, *, keep: bool) -> None:
        """The backend's answer has been passed on."""
        self.exchange = None
        if keep:
            self.body = None
            if self.ahead or self.ended_at:
                self._next()
            else:
                self.phase = IDLE
                self.since = self.surface.now
        else:
            self._close()

    def exchange_refused(self, refusal: Refusal) -> None:
        """The backend has no answer; nothing was sent to the client yet."""
        request = cast(Exchange, self.exchange).request
        self.exchange = None
        reply.refuse(self, refusal, request)

    def go_on_with_body(self) -> None:
        """The exchange can take what was held back."""
        data, self.ahead = self.ahead, b""
        self.transport.resume_reading()
        if data:
            self.data_received(data)

    def become_tunnel(self) -> None:
        """The transport is handed over to a tunnel; only its end is still of interest."""
        self.exchange = None
        self.phase = TUNNEL
        self.ahead = b""

    def leave(self) -> None:
        """The tunnel that this connection has become is closed."""
        self.surface.clients.discard(self)

    # -- time ----------------------------------------------------------------------------------

    def time_out(self, refusal: Refusal) -> None:
        """The client takes too long to send its request."""
        if self.exchange is not None:
            self.exchange.fail(refusal)
        elif self.phase == SKIPPING:
            self.transport.abort()
        else:
            reply.refuse(self, refusal, None)
