"""One proxied request and its answer: the client on one side, the backend on the other.

Apart from both connections, because it ends before they do. What is left of it when one side
fails decides what the other side gets to see: an error page, a cut answer, or nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ouroboros.entrypoints.surface.framing import ChunkedBody
from ouroboros.entrypoints.surface.refusal import Refusal
from ouroboros.entrypoints.surface.tunnel import join

if TYPE_CHECKING:
    from ouroboros.entrypoints.surface.client import Client
    from ouroboros.entrypoints.surface.framing import Body
    from ouroboros.entrypoints.surface.request import Request
    from ouroboros.entrypoints.surface.response import ResponseHead
    from ouroboros.entrypoints.surface.surface import Surface
    from ouroboros.entrypoints.surface.upstream import Upstream
    from ouroboros.entrypoints.surface.view import View

END = b"\r\n\r\n"


class Exchange:
    """A request on its way; `upstream` is None while it waits for a connection."""

    __slots__ = (
        "_closes", "_surface", "began", "body", "client", "moved", "request",
        "request_id", "status", "upstream", "view",
    )  # fmt: skip

    def __init__(
        self, surface: Surface, client: Client, request: Request, view: View, body: Body | None
    ) -> None:
        self._surface = surface
        self._closes = False
        self.began = 0.0 if surface.log is None else surface.loop.time()
        self.client = client
        self.request = request
        self.view = view
        self.body = body
        self.upstream: Upstream | None = None
        self.request_id = b""
        self.moved = 0
        self.status = 0

    # -- the request ---------------------------------------------------------------------------

    def forward(self, upstream: Upstream) -> None:
        """A connection is there: send the head over it, and what has come of the body."""
        client = self.client
        self.upstream = upstream
        head = self._surface.gateway.head(self, client.peer, trusted=client.trusted)
        upstream.send(self, head)
        if self.body is not None:
            client.since = self._surface.now
            client.go_on_with_body()

    def take(self, data: bytes) -> bytes:
        """Pass bytes of the client on; returns what does not belong to this request."""
        upstream = self.upstream
        if upstream is None:
            return data
        if self.body is None or self.body.done:
            return data
        self.moved += len(data)
        try:
            pieces, rest = self.body.feed(data)
        except Refusal as refusal:
            self.fail(refusal)
            return b""
        limit = self._surface.limits.body_bytes
        if isinstance(self.body, ChunkedBody) and self.body.size > limit:
            detail = "The body is larger than is taken here."
            self.fail(Refusal(413, "body_too_large", detail))
            return b""
        upstream.since = self._surface.now
        # It may be closed with its connection_lost still waiting for its turn.
        if not upstream.transport.is_closing():
            upstream.transport.writelines(pieces)
        return rest

    def is_complete(self) -> bool:
        """Whether the whole request has been read."""
        return self.body is None or self.body.done

    # -- the answer ----------------------------------------------------------------------------

    def write_head(self, head: ResponseHead, framing: bytes, body: bytes) -> None:
        """Send the head of the answer with our lines, and the body if it is there already."""
        request, surface = self.request, self._surface
        bodiless = request.method == b"HEAD" or head.status in (204, 304)
        self._closes = (
            not request.fields.keep_alive
            or surface.draining
            or not (framing or bodiless)
            or not self.is_complete()
            # Bytes after a refused upgrade could be of either protocol.
            or request.fields.upgrade != b""
        )
        self.status = head.status
        surface.note(self, head.length if head.length >= 0 else -1)
        if self._closes:
            framing += b"Connection: close\r\n"
        elif not request.http11:
            framing += b"Connection: keep-alive\r\n"
        text = b"".join(
            (head.lines, framing, self.view.lines, b"X-Request-Id: ", self.request_id, END, body)
        )
        self.client.transport.write(text)

    def answer_at_once(self, upstream: Upstream, head: ResponseHead, body: bytes) -> None:
        """The usual case: a plain request, and its answer complete in one read."""
        client, surface = self.client, self._surface
        self.status = head.status
        surface.note(self, head.length)
        client.transport.write(b"".join((head.ready(self.view.lines), self.request_id, END, body)))
        self.upstream = None
        surface.pool.give_back(upstream)
        client.exchange_ended(keep=not surface.draining)

    def end(self, last: bytes, upstream: Upstream | None) -> None:
        """The answer is complete; `upstream` is free again when it is given."""
        client = self.client
        self.upstream = None
        if last:
            client.transport.write(last)
        if upstream is not None:
            self._surface.pool.give_back(upstream)
        client.exchange_ended(keep=not self._closes and self.is_complete())

    def fail(self, refusal: Refusal) -> None:
        """There will be no (whole) answer: say so, or cut what cannot be completed."""
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.close()
        if self.status:
            self.client.transport.abort()
        else:
            self.client.exchange_refused(refusal)

    def give_up(self) -> None:
        """No connection to the backend could be had in time."""
        self._surface.pool.withdraw(self)
        self.client.exchange_refused(self._surface.away(self.view))

    def abandon(self) -> None:
        """The client has gone."""
        if self.upstream is None:
            self._surface.pool.withdraw(self)
        else:
            self.upstream.close()
        self.upstream = None

    def begin_tunnel(self, head: ResponseHead, rest: bytes) -> None:
        """The backend has accepted an upgrade: both sides get each other's bytes from now on."""
        client, upstream = self.client, self.upstream
        if upstream is None:
            return
        self.status = 101
        self._surface.note(self, -1)
        text = b"%sConnection: Upgrade\r\nUpgrade: %s\r\n%sX-Request-Id: %s\r\n\r\n" % (
            head.lines, head.upgrade, self.view.lines, self.request_id
        )  # fmt: skip
        client.transport.write(text + rest)
        if client.ahead:
            upstream.transport.write(client.ahead)
        client.become_tunnel()
        upstream.exchange = None
        join(client.transport, upstream.transport, client.leave, upstream.leave)
