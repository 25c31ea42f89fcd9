"""A request once its head is read: the line, the header lines, and what they mean together.

Apart from the grammar that makes it, as what the rest of the surface works with.
"""

from __future__ import annotations

from ouroboros.entrypoints.surface.fields import Fields, name_of
from ouroboros.entrypoints.surface.refusal import Refusal

CRLF = b"\r\n"


class Line:
    """A request line: method, target as it came, its parts, and the version.

    `repeats` says that the same line has come before, and that all of them get this object.
    """

    __slots__ = ("http11", "method", "path", "query", "repeats", "target")

    def __init__(self, method: bytes, target: bytes, *, http11: bool) -> None:
        self.method = method
        self.target = target
        self.http11 = http11
        self.repeats = False
        self.path, _, self.query = target.partition(b"?")


class Request:
    """One request head as it was accepted: `head` as it came, its parts, and what they mean.

    `repeats` says that every header line has come before. `passage` is the gateway's: the head
    for the backend, kept for requests of the same bytes. `is_plain` says that nothing but the
    method and the target matters for framing.
    """

    __slots__ = ("fields", "head", "is_plain", "line", "lines", "passage", "repeats")

    def __init__(
        self, line: Line, lines: list[bytes], fields: Fields, head: bytes, *, repeats: bool
    ) -> None:
        self.line = line
        self.lines = lines
        self.fields = fields
        self.head = head
        self.repeats = repeats
        self.passage: tuple[bytes, bytes] | None = None
        self.is_plain = fields.is_plain and line.method != b"HEAD"

    @property
    def method(self) -> bytes:
        """The method as it came."""
        return self.line.method

    @property
    def target(self) -> bytes:
        """The target as it came, path and query."""
        return self.line.target

    @property
    def path(self) -> bytes:
        """The path as it came."""
        return self.line.path

    @property
    def query(self) -> bytes:
        """What follows the question mark."""
        return self.line.query

    @property
    def http11(self) -> bool:
        """Whether the request is of HTTP/1.1 and not of HTTP/1.0."""
        return self.line.http11


def combine(
    line: Line, lines: list[bytes], fields: Fields, head: bytes, *, repeats: bool
) -> Request:
    """A request of its parts. Raises `Refusal` (400) when they do not go together."""
    if fields.upgrade and (line.method != b"GET" or fields.length):
        raise Refusal(400, "bad_upgrade", "An upgrade is a GET without a body.")
    return Request(line, lines, fields, head, repeats=repeats)


def passed_on(request: Request) -> bytes:
    """The request line and the header lines that go on to the backend, each with its CRLF."""
    line, fields = request.line, request.fields
    if line.http11 and not fields.drops and not fields.named:
        return request.head[:-2]
    kept = [text for text in request.lines if text not in fields.drops]
    if fields.named:
        kept = [text for text in kept if name_of(text) not in fields.named]
    start = b"%s %s HTTP/1.1\r\n" % (line.method, line.target)
    return start + CRLF.join(kept) + CRLF if kept else start
