"""The grammar of answers from the backend, and what of them goes on to the client.

Apart for the reason that the request grammar is: a pure function of bytes, strict, because an
answer that two readers could split differently would hand one client the answer of another.
"""

from __future__ import annotations

import re

from ouroboros.entrypoints.surface.head import FIELD, FIELD_BLOCK, LENGTH
from ouroboros.entrypoints.surface.memo import Memo
from ouroboros.entrypoints.surface.refusal import Refusal

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ([\t -~\x80-\xff]*))?\r\n")
_DROPPED = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade",
     b"content-length", b"te", b"x-request-id", b"x-preview-slot", b"x-preview-run",
     b"x-preview-commit", b"x-preview-publish", b"x-preview-data")
)  # fmt: skip
UNTIL_CLOSE = -2
CHUNKED = -1
_MEMO_ENTRIES = 256
_MEMO_HEAD_BYTES = 1024


class ResponseHead:
    """One answer head: `lines` is ready to send, without framing and Connection.

    `length` is the body's size, -1 for chunked, -2 for "until the connection ends".
    """

    __slots__ = ("_ready", "keep_alive", "length", "lines", "status", "upgrade")

    def __init__(self, status: int, lines: bytes, length: int, keep_alive: bool, upgrade: bytes):
        self.status = status
        self.lines = lines
        self.length = length
        self.keep_alive = keep_alive
        self.upgrade = upgrade
        self._ready: tuple[bytes, bytes] = (b"", b"")

    def ready(self, own_lines: bytes) -> bytes:
        """Everything up to the request id, for the usual answer of a known length."""
        if self._ready[0] is not own_lines:
            framing = b"Content-Length: %d\r\n" % self.length
            self._ready = (own_lines, self.lines + framing + own_lines + b"X-Request-Id: ")
        return self._ready[1]


class ResponseGrammar:
    """Reads answer heads and remembers the latest (they differ by their Date alone)."""

    def __init__(self) -> None:
        self._memo = Memo[ResponseHead](_MEMO_ENTRIES)

    def read(self, head: bytes) -> ResponseHead:
        """Read a complete head. Raises `Refusal` (502) when it breaks the grammar."""
        known = self._memo.known.get(head)
        if known is None:
            known = _read(head)
            if len(head) <= _MEMO_HEAD_BYTES:
                self._memo.offer(head, known)
        return known


def bad_answer(detail: str) -> Refusal:
    """The refusal for everything that a backend must not send."""
    return Refusal(502, "bad_backend_answer", detail)


def _read(head: bytes) -> ResponseHead:
    line = _STATUS_LINE.match(head)
    if line is None or FIELD_BLOCK.fullmatch(head, line.end(), len(head) - 2) is None:
        raise bad_answer("The backend sent an answer that breaks the grammar of HTTP.")
    http11 = line.group(1) == b"1"
    status = int(line.group(2))
    pairs = FIELD.findall(head, line.end())
    first: dict[bytes, bytes] = {}
    for raw, value in pairs:
        name, text = raw.lower(), value.rstrip(b" \t")
        if name in first:
            if name in (b"content-length", b"transfer-encoding"):
                raise bad_answer("The backend said the length of its answer twice.")
            text = first[name] + b", " + text
        first[name] = text
    options = [part.strip() for part in first.get(b"connection", b"").lower().split(b",")]
    keep_alive = b"close" not in options and (http11 or b"keep-alive" in options)
    hop_by_hop = frozenset(options)
    lines = [b"HTTP/1.1 %d %s\r\n" % (status, line.group(3) or b"")]
    lines += [
        b"%s: %s\r\n" % (name, value.rstrip(b" \t"))
        for name, value in pairs
        if name.lower() not in _DROPPED and name.lower() not in hop_by_hop
    ]
    length = _length(first, status, http11)
    upgrade = first.get(b"upgrade", b"") if b"upgrade" in options else b""
    return ResponseHead(status, b"".join(lines), length, keep_alive, upgrade)


def _length(first: dict[bytes, bytes], status: int, http11: bool) -> int:
    coding = first.get(b"transfer-encoding")
    length = first.get(b"content-length")
    if coding is not None:
        if length is not None or not http11 or coding.lower() != b"chunked":
            raise bad_answer("The length of the backend's answer is ambiguous.")
        return CHUNKED
    if length is not None:
        if LENGTH.fullmatch(length) is None:
            raise bad_answer("The backend sent a Content-Length that is no number.")
        return int(length)
    return 0 if status < 200 or status in (204, 304) else UNTIL_CLOSE
