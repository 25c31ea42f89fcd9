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
# What Connection says of the connection itself, and no field has as its name.
CONNECTION_OPTIONS = frozenset((b"", b"close"))
CONDITIONAL = frozenset((b"if-match", b"if-none-match", b"range"))
FRAMING = frozenset((b"content-length", b"transfer-encoding", b"expect"))
DECIDING = CONDITIONAL | FRAMING | {b"connection", b"x-preview-expect", b"via"}
# Fields that belong to one connection, or that only a gateway may write.
DROPPED = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade",
     b"content-length", b"http2-settings", b"x-forwarded-for", b"x-forwarded-proto",
     b"x-forwarded-host", b"x-real-ip", b"forwarded", b"x-request-id", b"traceparent", b"proxy",
     b"x-preview-expect", b"x-preview-slot", b"x-preview-run", b"x-preview-commit",
     b"x-preview-publish", b"x-preview-data", b"via", b"expect", b"trailer")
)  # fmt: skip
NOTHING: frozenset[bytes] = frozenset()
# What a header line is to us: passed on unread, or of some meaning (read, or not passed on).
PASSED, SPEAKS = 0, 1


class Fields:
    """What the header fields of a request mean; shared by all requests with the same ones.

    Not a dataclass: it is built on the hot path, and a frozen dataclass costs two microseconds.
    `first` holds the fields that the surface reads. `length` is the body's size, 0 for none, -1
    for chunked. `drops` are the lines that do not go on to the backend, `named` further names
    that Connection lists; `tail` is the gateway's, what it adds for a peer. `is_plain` marks a
    kept HTTP/1.1 request without a body or an upgrade, `is_simple` one that is also without
    condition and expectation.
    """

    __slots__ = (
        "codings", "drops", "expect_commit", "expect_continue", "first", "is_conditional",
        "is_plain", "is_simple", "keep_alive", "length", "named", "tail", "upgrade",
    )  # fmt: skip

    def __init__(self, first: dict[bytes, bytes], *, http11: bool, drops: frozenset[bytes]) -> None:
        self.first = first
        self.codings = first.get(b"accept-encoding")
        self.drops = drops
        self.named = NOTHING
        self.keep_alive = http11
        self.is_plain = http11
        self.is_simple = http11
        self.length = 0
        self.upgrade = b""
        self.expect_continue = False
        self.is_conditional = False
        self.expect_commit = b""
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


def name_of(line: bytes) -> bytes:
    """The name of a header line, in lower case."""
    return line.partition(b":")[0].lower()


def is_dropped(name: bytes) -> bool:
    """Whether a field of this name (in lower case) never goes on to the backend."""
    # WSGI and CGI cannot tell `x_forwarded_for` from `x-forwarded-for`.
    return name in DROPPED or b"_" in name
