"""The head of a request as the backend gets it.

Apart, because these are the rules of a gateway (RFC 9110, section 7.6): what belongs to the
connection is dropped, who asked is added, and the target goes through byte for byte.
"""

from __future__ import annotations

import os
import re
from binascii import hexlify
from typing import TYPE_CHECKING

from ouroboros.entrypoints.surface.fields import Fields
from ouroboros.entrypoints.surface.request import passed_on

if TYPE_CHECKING:
    from ouroboros.entrypoints.surface.exchange import Exchange

VIA = b"ouroboros"
END = b"\r\n"
HEAD_END = b"\r\n\r\n"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_TRACE_BASE = os.urandom(8).hex().encode()


class Gateway:
    """Writes request heads for the backend of one slot."""

    def __init__(self, slot_id: str) -> None:
        self._name = f"{VIA.decode()}-{slot_id or 'surface'}".encode()
        self._serial = int.from_bytes(os.urandom(6), "big")

    def is_loop(self, fields: Fields) -> bool:
        """Whether this request has come through this very gateway before."""
        return self._name in fields.first.get(b"via", b"")

    def head(self, exchange: Exchange, peer: bytes, *, trusted: bool) -> bytes:
        """The complete head; also gives the exchange its request id.

        `trusted` peers (loopback) may say whom they speak for.
        """
        request = exchange.request
        passage = request.passage
        if passage is None or passage[0] != peer:
            tail = request.fields.tail
            if tail is None or tail[0] != peer:
                tail = (peer, self._tail(request.fields, peer, trusted=trusted))
                request.fields.tail = tail
            request.passage = passage = (peer, passed_on(request) + tail[1])
        self._serial += 1
        first = request.fields.first
        serial = hexlify(self._serial.to_bytes(8, "big"))
        exchange.request_id = made = _TRACE_BASE + serial
        if b"x-request-id" in first and _REQUEST_ID.fullmatch(first[b"x-request-id"]):
            exchange.request_id = first[b"x-request-id"]
        if b"traceparent" in first:
            return b"".join((passage[1], exchange.request_id, HEAD_END))
        trace = (b"\r\ntraceparent: 00-", made, b"-", serial, b"-00\r\n\r\n")
        return b"".join((passage[1], exchange.request_id, *trace))

    def _tail(self, fields: Fields, peer: bytes, *, trusted: bool) -> bytes:
        """What the gateway says of a request with these fields, up to the request id's value."""
        lines = []
        if fields.length or b"content-length" in fields.first:
            coded = fields.length < 0
            size = b"Content-Length: %d" % fields.length
            lines.append(b"Transfer-Encoding: chunked" if coded else size)
        if fields.expect_continue:
            lines.append(b"Expect: 100-continue")
        if fields.upgrade:
            lines += (b"Connection: Upgrade", b"Upgrade: " + fields.upgrade)
        elif b"te" in fields.first and b"trailers" in fields.first[b"te"].lower():
            lines += (b"Connection: TE", b"TE: trailers")
        lines.append(self._origin(fields.first, peer, trusted=trusted))
        return b"\r\n".join(lines)

    def _origin(self, first: dict[bytes, bytes], peer: bytes, *, trusted: bool) -> bytes:
        """The lines that say who asked and by which way, up to the value of the request id."""
        via, proto, host = peer, b"http", first[b"host"]
        if trusted and b"x-forwarded-for" in first:
            via = first[b"x-forwarded-for"] + b", " + peer
        if trusted and first.get(b"x-forwarded-proto", b"") in (b"http", b"https"):
            proto = first[b"x-forwarded-proto"]
        if trusted and b"x-forwarded-host" in first:
            host = first[b"x-forwarded-host"]
        way = first[b"via"] + b", " if b"via" in first else b""
        trace = b"traceparent: " + first[b"traceparent"] + END if b"traceparent" in first else b""
        return (
            b"X-Forwarded-For: %s\r\nX-Forwarded-Proto: %s\r\nX-Forwarded-Host: %s\r\n"
            b"Via: %s1.1 %s\r\n%sX-Request-Id: "
        ) % (via, proto, host, way, self._name, trace)
