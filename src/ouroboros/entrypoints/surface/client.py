"""One connection of a client: heads in, answers out, one request at a time.

Apart as the only place that holds a client's socket. It knows in which phase a request is; what
is answered is decided elsewhere (static, pages, upstream).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from ouroboros.entrypoints.surface.answer import Answer
from ouroboros.entrypoints.surface.framing import Body, ChunkedBody, LengthBody
from ouroboros.entrypoints.surface.head import Request
from ouroboros.entrypoints.surface.refusal import Refusal
from ouroboros.entrypoints.surface.sender import FileSender

if TYPE_CHECKING:
    from ouroboros.entrypoints.surface.surface import Surface
    from ouroboros.entrypoints.surface.upstream import Upstream
    from ouroboros.entrypoints.surface.view import View

IDLE, WAITING, PROXIED, SENDING, SKIPPING, TUNNEL, LINGERING, ENDED = range(8)
AHEAD_BYTES = 64 * 1024
SMALL_BODY_BYTES = 16 * 1024


class Client(asyncio.Protocol):
    """A client's connection. `request` and `view` are those of the request in progress."""

    __slots__ = (
        "_began", "_body", "_buffer", "_closes", "_held", "_moved", "_sender", "_surface", "_wrote_head",
        "ended_at", "peer", "phase", "request", "request_id", "since", "transport", "trusted",
        "upstream", "view",
    )  # fmt: skip

    request: Request
    view: View

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._buffer = b""
        self._body: Body | None = None
        self._held = False
        self._closes = False
        self._moved = 0
        self._began = 0.0
        self._wrote_head = False
        self._sender: FileSender | None = None
        self.phase = IDLE
        self.upstream: Upstream | None = None
        self.since = surface.now
        self.ended_at = 0.0
        self.request_id = b""

    # -- the life of the connection ------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in, or turn it away when there are too many."""
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0].encode() if isinstance(peer, tuple) else b"127.0.0.1"
        self.trusted = self.peer.startswith(b"127.") or self.peer == b"::1"
        clients = self._surface.clients
        clients.add(self)
        if len(clients) > self._surface.limits.connections:
            self.view = self._surface.view
            self._refuse(Refusal(503, "too_many_connections", "Too many connections."), None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone; whatever was done for it ends."""
        self._surface.clients.discard(self)
        if self.phase == WAITING:
            self._surface.pool.withdraw(self)
        self.phase = ENDED
        self._sender = None
        if self.upstream is not None:
            self.upstream.close()
            self.upstream = None

    def eof_received(self) -> bool:
        """The client sends no more; an answer in progress may still be read by it."""
        if self.phase == TUNNEL and self.upstream is not None:
            self.upstream.transport.write_eof()
            return True
        self.ended_at = self._surface.now
        return self.phase in (WAITING, PROXIED, SENDING)

    def pause_writing(self) -> None:
        """The client reads slower than it is answered: stop what feeds it."""
        self._held = True
        self.since = self._surface.now
        if self.upstream is not None:
            self.upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._held = False
        self.since = self._surface.now
        if self._sender is not None:
            self._send_file()
        elif self.upstream is not None:
            self.upstream.transport.resume_reading()
        elif self.phase == IDLE:
            self._next()

    # -- requests in ---------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client; the phase says what they are."""
        if self.phase == IDLE:
            surface = self._surface
            if surface.changed(0):
                surface.refresh()
            if self._buffer:
                self._read(self._buffer + data)
                return
            ready = surface.memo.get(data)
            if ready is None or self._held:
                self._read(data)
                return
            status, lines, body = ready
            self.since = surface.now
            surface.count[status] += 1
            if len(body) < SMALL_BODY_BYTES:
                self.transport.write(surface.stamps[status] + lines + body)
            else:
                self.transport.writelines((surface.stamps[status] + lines, body))
        elif self.phase == TUNNEL and self.upstream is not None:
            self.upstream.transport.write(data)
        elif self.phase in (PROXIED, SKIPPING) and self._body is not None:
            self._read_body(data)
        elif self.phase == LINGERING:
            self._moved += len(data)
            if self._moved > self._surface.limits.linger_bytes:
                self.transport.abort()
        else:
            self._buffer += data
            if len(self._buffer) > AHEAD_BYTES:
                self.transport.pause_reading()

    def _read(self, data: bytes) -> None:
        """Read heads from `data` until one is incomplete or its request takes time."""
        surface = self._surface
        while True:
            if self._held:
                self._buffer = data
                self.transport.pause_reading()
                return
            end = data.find(b"\r\n\r\n") + 4
            try:
                if end < 4 or end > surface.limits.head_bytes:
                    surface.grammar.check_part(data)
                    if not self._buffer:
                        self.since = surface.now
                    self._buffer = data
                    return
                head = data[:end]
                request = surface.grammar.read(head)
            except Refusal as refusal:
                self._buffer = b""
                self.view = surface.view
                self._refuse(refusal, None)
                return
            self._buffer = data[end:]
            self._begin(request, head)
            if self.phase != IDLE or not self._buffer:
                return
            data = self._buffer

    def _begin(self, request: Request, head: bytes) -> None:
        surface = self._surface
        self.request = request
        self.view = surface.view
        self.since = self._began = surface.now
        self._wrote_head = False
        length = request.fields.length
        self._body = None
        if length:
            self._moved = 0
            limit = surface.limits.trailer_bytes
            self._body = LengthBody(length) if length > 0 else ChunkedBody(limit)
        try:
            answer = surface.answer(self.view, request)
            if answer is None:
                self._proxy()
            else:
                self._send(answer, head)
        except Refusal as refusal:
            self._refuse(refusal, request)

    def _next(self) -> None:
        """Go on with what the client has sent ahead."""
        self.phase = IDLE
        self.since = self._surface.now
        if self.ended_at and not self._buffer:
            self.transport.close()
            return
        self.transport.resume_reading()
        if self._buffer:
            if self._surface.changed(0):
                self._surface.refresh()
            data, self._buffer = self._buffer, b""
            self._read(data)

    # -- answers of our own --------------------------------------------------------------------

    def _send(self, answer: Answer, head: bytes) -> None:
        surface, request = self._surface, self.request
        keep = request.fields.keep_alive and not surface.draining
        if self._body is not None and request.fields.expect_continue:
            keep = False  # Nobody can tell whether the client will send its body now.
        if request.method == b"HEAD":
            answer.body, answer.file = b"", None
        lines = answer.lines + self.view.lines + self._connection(keep)
        surface.count[answer.status] += 1
        stamp = surface.stamps[answer.status]
        if answer.file is not None:
            self.transport.write(stamp + lines)
            self._sender = FileSender(answer.file, answer.start, answer.stop, keep)
            self.phase = SENDING
            self._send_file()
            return
        if answer.fixed and keep and request.http11 and self._body is None:
            surface.remember(head, answer.status, lines, answer.body)
        if len(answer.body) < SMALL_BODY_BYTES:
            self.transport.write(stamp + lines + answer.body)
        else:
            self.transport.writelines((stamp + lines, answer.body))
        self._after(keep)

    def _connection(self, keep: bool) -> bytes:
        if not keep:
            return b"Connection: close\r\n\r\n"
        return b"\r\n" if self.request.http11 else b"Connection: keep-alive\r\n\r\n"

    def _send_file(self) -> None:
        sender = cast(FileSender, self._sender)
        while not self._held:
            try:
                if sender.send_some(self.transport):
                    self._sender = None
                    self._after(sender.keep)
                    return
            except OSError:
                self.transport.abort()  # The file ended early; the length was promised.
                return

    def _after(self, keep: bool) -> None:
        """An answer is complete: skip what is left of the request, go on, or close."""
        if not keep:
            self._close()
        elif self._body is not None and not self._body.done:
            self.phase = SKIPPING
            data, self._buffer = self._buffer, b""
            if data:
                self._read_body(data)
        elif self.phase != IDLE:
            self._next()

    def _refuse(self, refusal: Refusal, request: Request | None) -> None:
        answer = self._surface.error(refusal, request, self.view)
        keep = not refusal.fatal and request is not None and request.fields.keep_alive
        keep = keep and not self._surface.draining and self._body is None
        lines = b"\r\n" if keep else b"Connection: close\r\n\r\n"
        if keep and request is not None and not request.http11:
            lines = b"Connection: keep-alive\r\n\r\n"
        surface = self._surface
        surface.count[answer.status] += 1
        body = answer.body if request is None or request.method != b"HEAD" else b""
        self.transport.write(surface.stamps[answer.status] + answer.lines + lines + body)
        self._after(keep)

    def _close(self) -> None:
        """Close, reading on for a moment where a reset could destroy the answer."""
        self.since = self._surface.now
        if self._buffer or self._body is not None or self.phase == IDLE:
            self.phase = LINGERING
            self._moved = 0
            self._buffer = b""
            self.transport.resume_reading()
            if self.transport.can_write_eof() and not self.ended_at:
                self.transport.write_eof()
                return
        self.phase = LINGERING
        self.transport.close()

    # -- proxied requests ----------------------------------------------------------------------

    def _proxy(self) -> None:
        self.phase = WAITING
        self._surface.pool.submit(self)

    def forward(self, upstream: Upstream) -> None:
        """A connection is there: send the request over it."""
        surface = self._surface
        self.phase = PROXIED
        self.upstream = upstream
        self.since = surface.now
        gateway = surface.gateway
        self.request_id = gateway.request_id(self.request.fields)
        upstream.send(self, gateway.head(self.request, self.request_id, self.peer, self.trusted))
        if self._body is not None:
            data, self._buffer = self._buffer, b""
            self.transport.resume_reading()
            if data:
                self._read_body(data)

    def _read_body(self, data: bytes) -> None:
        body = cast(Body, self._body)
        if body.done:
            self._buffer += data
            if len(self._buffer) > AHEAD_BYTES:
                self.transport.pause_reading()
            return
        self._moved += len(data)
        try:
            pieces, rest = body.feed(data)
            if isinstance(body, ChunkedBody) and body.size > self._surface.limits.body_bytes:
                raise Refusal(413, "body_too_large", "The body is larger than is taken here.")
        except Refusal as refusal:
            self.answer_failed(refusal)
            return
        self._buffer = rest
        if self.phase == PROXIED and self.upstream is not None:
            self.upstream.since = self._surface.now
            self.upstream.transport.writelines(pieces)
        elif self.phase == SKIPPING and body.done:
            self._body = None
            self._next()

    def request_is_complete(self) -> bool:
        """Whether the whole request has been read."""
        return self._body is None or self._body.done

    def write_head(self, lines: bytes, framing: bytes, body: bytes) -> None:
        """Send the head of the backend's answer, with our lines, and the body if it is there."""
        request, surface = self.request, self._surface
        bodiless = request.method == b"HEAD" or lines[9:12] in (b"204", b"304")
        keep = request.fields.keep_alive and not surface.draining
        keep = keep and (framing != b"" or bodiless) and self.request_is_complete()
        self._wrote_head = True
        surface.proxied += 1
        if not keep:
            framing += b"Connection: close\r\n"
            self._closes = True
        elif not request.http11:
            framing += b"Connection: keep-alive\r\n"
        head = b"%s%s%sX-Request-Id: %s\r\n\r\n" % (
            lines, framing, self.view.lines, self.request_id
        )  # fmt: skip
        if len(body) < SMALL_BODY_BYTES:
            self.transport.write(head + body)
        else:
            self.transport.writelines((head, body))

    def answer_ended(self, last: bytes, upstream: Upstream | None) -> None:
        """The backend's answer is complete; `upstream` is free again when it is given."""
        self.upstream = None
        if last:
            self.transport.write(last)
        if upstream is not None:
            self._surface.pool.give_back(upstream)
        if self._closes or not self.request_is_complete():
            self._close()
        else:
            self._body = None
            self._next()

    def answer_failed(self, refusal: Refusal) -> None:
        """There will be no (whole) answer: say so, or cut what cannot be completed."""
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.close()
        if self.phase == SKIPPING:
            self._close()
        elif self._wrote_head:
            self.transport.abort()
        else:
            self._refuse(refusal, self.request)

    def upstream_away(self) -> None:
        """No connection to the backend could be had in time."""
        self._refuse(self._surface.away(self.view), self.request)

    # -- tunnels -------------------------------------------------------------------------------

    def begin_tunnel(self, lines: bytes, rest: bytes) -> None:
        """The backend has accepted an upgrade: from now on both sides get each other's bytes."""
        self.phase = TUNNEL
        self._surface.count[101] += 1
        upstream = cast("Upstream", self.upstream)
        head = b"%s%sX-Request-Id: %s\r\n\r\n" % (lines, self.view.lines, self.request_id)
        self.transport.write(head + rest)
        if self._buffer:
            upstream.transport.write(self._buffer)
            self._buffer = b""
        self.transport.resume_reading()

    def tunnel_half_closed(self) -> None:
        """The backend sends no more."""
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def tunnel_ended(self) -> None:
        """The backend has gone."""
        self.upstream = None
        self.transport.close()

    # -- time ----------------------------------------------------------------------------------

    def is_stalled(self) -> bool:
        """Whether the client does not read what it is sent."""
        return self._held

    def is_within_head(self) -> bool:
        """Whether a head has begun and is not complete."""
        return bool(self._buffer)

    def is_paused_by_backend(self) -> bool:
        """Whether the request body waits for the backend and not for the client."""
        return self.upstream is not None and self.upstream.is_stalled

    def moved_bytes(self) -> int:
        """How much of the request body has come so far."""
        return self._moved

    def give_up_waiting(self) -> None:
        """The backend has not come back in time."""
        self._surface.pool.withdraw(self)
        self.upstream_away()

    def time_out(self, refusal: Refusal) -> None:
        """The client takes too long to send its request."""
        self._buffer = b""
        if self.phase == IDLE:
            self.view = self._surface.view
            self._refuse(refusal, None)
        else:
            self.answer_failed(refusal)
