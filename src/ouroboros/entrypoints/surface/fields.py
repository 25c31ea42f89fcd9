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
DECIDING = CONDITIONAL | FRAMING | {b"connection", b"x-preview-expect"}
# What a header line says: the field's name when it is read here, its value, whether it ends here.
FieldLine = tuple[bytes, bytes, bool]


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
    """The header fields of a request, read once; shared by all requests with the same bytes.

    Not a dataclass: it is built on the hot path, and a frozen dataclass costs two microseconds.
    `first` holds the fields that the surface reads, `lines` all of them as they came; `passed`
    are those that go on to the backend. `length` is the body's size, 0 for none, -1 for chunked.
    `repeats` says that these bytes have come before, and
    `is_simple` says that a kept HTTP/1.1 request without body, condition or expectation it is.
    """

    __slots__ = (
        "expect_commit",
        "expect_continue",
        "first",
        "hop_by_hop",
        "is_conditional",
        "is_simple",
        "keep_alive",
        "length",
        "lines",
        "passed",
        "repeats",
        "upgrade",
    )

    def __init__(self, lines: list[bytes], first: dict[bytes, bytes], *, http11: bool) -> None:
        self.lines = lines
        self.passed = lines
        self.first = first
        self.keep_alive = http11
        self.is_simple = http11
        self.length = 0
        self.upgrade = b""
        self.expect_continue = False
        self.is_conditional = False
        self.expect_commit = b""
        self.hop_by_hop = NOTHING
        self.repeats = False

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
