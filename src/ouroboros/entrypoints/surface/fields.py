"""Which header fields mean something here, and the fields of one request once they are read.

Apart from the grammar as the vocabulary that it reads with.
"""

from __future__ import annotations

# What the surface itself reads; everything else is passed on or passed over.
READ = frozenset(
    (
        b"host", b"connection", b"content-length", b"transfer-encoding", b"expect", b"upgrade",
        b"te", b"range", b"if-range", b"if-match", b"if-none-match", b"accept",
        b"accept-encoding", b"sec-fetch-mode", b"x-preview-expect", b"x-request-id",
        b"traceparent", b"via", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host",
        b"content-type", b"authorization", b"origin", b"sec-websocket-key",
        b"sec-websocket-version", b"cookie",
    )
)  # fmt: skip
# Lists may come in several lines; a second one of the others would let two readers disagree.
LISTS = frozenset(
    (b"connection", b"te", b"if-match", b"if-none-match", b"accept", b"accept-encoding", b"via",
     b"x-forwarded-for", b"cookie", b"upgrade")
)  # fmt: skip
# Naming one of these in Connection asks the proxy to drop what the request's meaning hangs on.
NEVER_HOP_BY_HOP = frozenset(
    (b"host", b"content-length", b"transfer-encoding", b"content-type", b"authorization",
     b"cookie", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"origin")
)  # fmt: skip
CONDITIONAL = frozenset((b"if-match", b"if-none-match", b"range"))
FRAMING = frozenset((b"content-length", b"transfer-encoding", b"expect"))
DECIDING = CONDITIONAL | FRAMING | {b"connection", b"x-preview-expect", b"via"}
# Fields that belong to one connection, or that only a gateway may write.
DROPPED = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade",
     b"content-length", b"http2-settings", b"x-forwarded-for", b"x-forwarded-proto",
     b"x-forwarded-host", b"x-real-ip", b"forwarded", b"x-request-id", b"traceparent", b"proxy",
     b"x-preview-expect", b"x-preview-slot", b"x-preview-run", b"x-preview-commit",
     b"x-preview-publish", b"via", b"expect", b"trailer")
)  # fmt: skip
NOTHING: frozenset[bytes] = frozenset()


class Fields:
    """What the header fields of a request mean; shared by all requests with the same ones.

    Not a dataclass: it is built on the hot path, and a frozen dataclass costs two microseconds.
    `first` holds the fields that the surface reads. `length` is the body's size, 0 for none, -1
    for chunked. `drops` says that not every line goes on to the backend; `tail` is the gateway's,
    what it adds for a peer. `is_simple` marks a kept HTTP/1.1 request without body, condition or
    expectation.
    """

    __slots__ = (
        "drops", "expect_commit", "expect_continue", "first", "hop_by_hop", "is_conditional",
        "is_simple", "keep_alive", "length", "tail", "upgrade",
    )  # fmt: skip

    def __init__(self, first: dict[bytes, bytes], *, http11: bool, drops: bool) -> None:
        self.first = first
        self.drops = drops
        self.keep_alive = http11
        self.is_simple = http11
        self.length = 0
        self.upgrade = b""
        self.expect_continue = False
        self.is_conditional = False
        self.expect_commit = b""
        self.hop_by_hop = NOTHING
        self.tail: tuple[bytes, bytes] | None = None

    @property
    def navigation(self) -> bool:
        """Whether a person's browser asks for a page (and not a script for a resource).

        Fetch metadata decide where they are sent; a client without them is taken at its Accept.
        """
        mode = self.first.get(b"sec-fetch-mode")
        if mode is not None:
            return mode == b"navigate"
        accept = self.first.get(b"accept")
        return accept is None or b"text/html" in accept or accept.startswith(b"*/*")


class Block:
    """The header lines of one request as they came, and what they mean.

    `repeats` says that the very same bytes have come before.
    """

    __slots__ = ("fields", "lines", "repeats")

    def __init__(self, lines: list[bytes], fields: Fields) -> None:
        self.lines = lines
        self.fields = fields
        self.repeats = False

    def passed_on(self) -> list[bytes]:
        """The lines that go on to the backend."""
        fields = self.fields
        if not fields.drops:
            return self.lines
        return [line for line in self.lines if is_passed_on(line, fields.hop_by_hop)]


def is_passed_on(line: bytes, hop_by_hop: frozenset[bytes]) -> bool:
    """Whether a header line goes on to the backend."""
    name = line.partition(b":")[0].lower()
    # WSGI and CGI cannot tell `x_forwarded_for` from `x-forwarded-for`.
    return name not in DROPPED and name not in hop_by_hop and b"_" not in name
