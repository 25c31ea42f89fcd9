"""The head of a request as the backend gets it.

Apart, because these are the rules of a gateway (RFC 9110, section 7.6): what belongs to the
connection is dropped, who asked is added, and the target goes through byte for byte.
"""

from __future__ import annotations

import os
import re

from ouroboros.entrypoints.surface.head import Fields, Request

VIA = b"ouroboros"
DROPPED = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade",
     b"content-length", b"http2-settings", b"x-forwarded-for", b"x-forwarded-proto",
     b"x-forwarded-host", b"x-real-ip", b"forwarded", b"x-request-id", b"traceparent", b"proxy",
     b"x-preview-expect", b"x-preview-slot", b"x-preview-run", b"x-preview-commit",
     b"x-preview-publish", b"via", b"expect", b"trailer")
)  # fmt: skip
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_TRACE_BASE = os.urandom(8).hex().encode()


class Gateway:
    """Writes request heads for the backend of one slot."""

    def __init__(self, slot_id: str) -> None:
        self._name = f"{VIA.decode()}-{slot_id or 'surface'}".encode()
        self._serial = int.from_bytes(os.urandom(6), "big")

    def request_id(self, fields: Fields) -> bytes:
        """The client's request id when it is a plain word, else a new one (32 hex digits)."""
        self._serial += 1
        given = fields.first.get(b"x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given) is not None:
            return given
        return b"%s%016x" % (_TRACE_BASE, self._serial)

    def is_loop(self, fields: Fields) -> bool:
        """Whether this request has come through this very gateway before."""
        return self._name in fields.first.get(b"via", b"")

    def head(self, request: Request, request_id: bytes, peer: bytes, trusted: bool) -> bytes:
        """The complete head; `trusted` peers (loopback) may say whom they speak for."""
        fields = request.fields
        block = fields.forward
        if block is None:
            block = fields.forward = self._block(fields)
        first = fields.first
        trace = first.get(b"traceparent")
        if trace is None:
            trace = b"00-%s%016x-%016x-00" % (_TRACE_BASE, self._serial, self._serial)
        via = peer
        proto, host = b"http", fields.host
        if trusted and b"x-forwarded-for" in first:
            via = first[b"x-forwarded-for"] + b", " + peer
        if trusted:
            given = first.get(b"x-forwarded-proto", b"")
            proto = given if given in (b"http", b"https") else proto
            host = first.get(b"x-forwarded-host", host)
        return (
            b"%s %s HTTP/1.1\r\n%sX-Forwarded-For: %s\r\nX-Forwarded-Proto: %s\r\n"
            b"X-Forwarded-Host: %s\r\nX-Request-Id: %s\r\ntraceparent: %s\r\n\r\n"
        ) % (request.method, request.target, block, via, proto, host, request_id, trace)

    def _block(self, fields: Fields) -> bytes:
        lines = []
        for name, value in fields.pairs:
            lowered = name.lower()
            # WSGI and CGI cannot tell `x_forwarded_for` from `x-forwarded-for`.
            if lowered in DROPPED or lowered in fields.hop_by_hop or b"_" in name:
                continue
            lines.append(b"%s: %s\r\n" % (name, value.rstrip(b" \t")))
        if fields.length > 0 or b"content-length" in fields.first:
            lines.append(b"Content-Length: %d\r\n" % fields.length)
        elif fields.length < 0:
            lines.append(b"Transfer-Encoding: chunked\r\n")
        if fields.expect_continue:
            lines.append(b"Expect: 100-continue\r\n")
        if fields.upgrade:
            lines.append(b"Connection: Upgrade\r\nUpgrade: %s\r\n" % fields.upgrade)
        elif b"trailers" in fields.first.get(b"te", b"").lower():
            lines.append(b"Connection: TE\r\nTE: trailers\r\n")
        given = fields.first.get(b"via")
        via = given + b", " if given is not None else b""
        lines.append(b"Via: %s1.1 %s\r\n" % (via, self._name))
        return b"".join(lines)
