"""One connection to the backend and the answer that comes over it.

Apart from the client's side: here answers are read, checked and handed on as bytes. Both sides
pause each other, so a slow reader costs one buffer and not the whole answer.
"""

from __future__ import annotations

import asyncio
import select
from typing import TYPE_CHECKING, cast

from ouroboros.entrypoints.surface.framing import Body, ChunkedBody, LengthBody
from ouroboros.entrypoints.surface.refusal import Refusal
from ouroboros.entrypoints.surface.response import CHUNKED, ResponseHead, bad_answer

if TYPE_CHECKING:
    from ouroboros.entrypoints.surface.exchange import Exchange
    from ouroboros.entrypoints.surface.pool import Pool
    from ouroboros.entrypoints.surface.surface import Surface

FREE, HEAD, BODY, UNTIL_END, ENDED = range(5)


class Upstream(asyncio.Protocol):
    """A connection to the backend; serves one exchange at a time."""

    __slots__ = (
        "_body", "_buffer", "_chunking", "_informational", "_keep", "_poller", "_pool",
        "_surface", "exchange", "idle_since", "is_stalled", "phase",
        "since", "transport",
    )  # fmt: skip

    def __init__(self, surface: Surface, pool: Pool) -> None:
        self._surface = surface
        self._pool = pool
        self._buffer = b""
        self._body: Body | None = None
        self._keep = False
        self._chunking = False
        self._informational = 0
        self.phase = FREE
        self.exchange: Exchange | None = None
        self.is_stalled = False
        self.idle_since = self.since = surface.now

    # -- the life of the connection ------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; asyncio calls this once."""
        self.transport = cast(asyncio.Transport, transport)
        self._poller = select.poll()
        handle = transport.get_extra_info("socket").fileno()
        self._poller.register(handle, select.POLLIN | select.POLLRDHUP)
        self._pool.open.add(self)

    def is_usable(self) -> bool:
        """Whether the backend has neither closed nor said anything since the last exchange.

        Asked of the kernel, because the event of a close may still be waiting for its turn.
        """
        return not self.transport.is_closing() and not self._poller.poll(0)

    def send(self, exchange: Exchange, head: bytes) -> None:
        """Begin an exchange: the head goes out, its answer goes to `exchange`."""
        self.exchange = exchange
        self.phase = HEAD
        self.since = self._surface.now
        self._informational = 0
        self.transport.write(head)

    def close(self) -> None:
        """End the connection at once; the backend sees that nobody listens any more."""
        self.phase = ENDED
        self.exchange = None
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The backend has gone: an answer in progress is finished or cut, never left open."""
        exchange, phase = self.exchange, self.phase
        self.exchange = None
        self.phase = ENDED
        self._pool.forget(self)
        if exchange is None:
            return
        if phase == UNTIL_END and exc is None:
            exchange.end(b"0\r\n\r\n" if self._chunking else b"", None)
        elif phase == HEAD:
            detail = "The backend closed the connection without an answer."
            exchange.fail(Refusal(502, "backend_closed", detail))
        else:
            exchange.fail(bad_answer("The backend sent half an answer."))

    def leave(self) -> None:
        """The tunnel that this connection has become is closed."""
        self._pool.forget(self)

    def pause_writing(self) -> None:
        """The backend takes the request body slower than the client sends it."""
        self.is_stalled = True
        if self.exchange is not None:
            self.exchange.client.transport.pause_reading()

    def resume_writing(self) -> None:
        """The backend has caught up."""
        self.is_stalled = False
        if self.exchange is not None:
            self.exchange.client.transport.resume_reading()

    # -- the answer ----------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Read the answer; anything that no request has asked for ends the connection."""
        exchange = self.exchange
        if exchange is None or exchange.client.transport.is_closing():
            # Said unasked, or for a client that is gone (its connection_lost waits its turn).
            self.close()
            return
        self.since = self._surface.now
        try:
            if self.phase == HEAD:
                self._read_head(exchange, data)
            elif self.phase == BODY:
                self._read_body(exchange, data)
            else:
                self._relay_open_end(exchange, data)
        except Refusal as refusal:
            self.close()
            exchange.fail(refusal)

    def _read_head(self, exchange: Exchange, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        while True:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                if len(data) > self._surface.limits.upstream_head_bytes:
                    raise bad_answer("The head of the backend's answer is too large.")
                if not b"HTTP/1.".startswith(data[:7]):
                    raise bad_answer("The backend does not speak HTTP/1.")
                self._buffer = data
                return
            head = self._surface.responses.read(data[: end + 4])
            data = data[end + 4 :]
            if head.status >= 200:
                if (
                    len(data) == head.length
                    and head.keep_alive
                    and exchange.request.is_plain
                    and not self._surface.draining
                ):
                    self.exchange = None
                    self.phase = FREE
                    exchange.answer_at_once(self, head, data)
                    return
                self._begin_body(exchange, head, data)
                return
            if head.status == 101:
                self._begin_tunnel(exchange, head, data)
                return
            self._informational += 1
            if self._informational > self._surface.limits.informational:
                raise bad_answer("The backend sends interim answers without end.")
            request = exchange.request
            if request.http11 and (head.status != 100 or request.fields.expect_continue):
                exchange.client.transport.write(head.lines + b"\r\n")

    def _begin_tunnel(self, exchange: Exchange, head: ResponseHead, rest: bytes) -> None:
        if not exchange.request.fields.upgrade or not head.upgrade:
            raise bad_answer("The backend switched to a protocol that nobody asked for.")
        self.phase = ENDED
        exchange.begin_tunnel(head, rest)

    def _begin_body(self, exchange: Exchange, head: ResponseHead, rest: bytes) -> None:
        request = exchange.request
        length = head.length
        self._keep = head.keep_alive
        framing = b""
        self._chunking = False
        if request.method == b"HEAD" or head.status in (204, 304):
            if length >= 0 and head.status != 204:
                framing = b"Content-Length: %d\r\n" % length
            length = 0
        elif length >= 0:
            framing = b"Content-Length: %d\r\n" % length
        elif request.http11:
            framing = b"Transfer-Encoding: chunked\r\n"
            self._chunking = True
        if length >= 0 and len(rest) == length and self._keep:
            # The usual answer: all of it in one read, out in one write.
            exchange.write_head(head, framing, rest)
            self._end(b"")
            return
        exchange.write_head(head, framing, b"")
        if length >= 0:
            self._body = LengthBody(length)
        elif length == CHUNKED:
            decoded = not request.http11
            self._body = ChunkedBody(self._surface.limits.trailer_bytes, decoded=decoded)
        else:
            self._keep = False
            self.phase = UNTIL_END
            if rest:
                self._relay_open_end(exchange, rest)
            return
        self.phase = BODY
        if rest or self._body.done:
            self._read_body(exchange, rest)

    def _read_body(self, exchange: Exchange, data: bytes) -> None:
        body = cast(Body, self._body)
        try:
            pieces, rest = body.feed(data) if not body.done else ([], data)
        except Refusal as refusal:
            raise bad_answer("The backend broke off its answer.") from refusal
        if rest:
            # More than it promised: what follows could pass for another client's answer.
            self._keep = False
        if len(pieces) == 1:
            exchange.client.transport.write(pieces[0])
        elif pieces:
            exchange.client.transport.writelines(pieces)
        if body.done:
            self._end(b"")

    def _relay_open_end(self, exchange: Exchange, data: bytes) -> None:
        if self._chunking:
            exchange.client.transport.writelines((b"%x\r\n" % len(data), data, b"\r\n"))
        else:
            exchange.client.transport.write(data)

    def _end(self, last: bytes) -> None:
        exchange = cast("Exchange", self.exchange)
        self.exchange = None
        self._body = None
        keep = self._keep and exchange.is_complete()
        if keep:
            self.phase = FREE
            self.transport.resume_reading()
            exchange.end(last, self)
        else:
            self.close()
            exchange.end(last, None)
