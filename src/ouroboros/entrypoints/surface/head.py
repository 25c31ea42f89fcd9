"""The grammar of request heads: what a request is, byte for byte.

A strict whitelist (RFC 9112 with everything optional refused), because a proxy that repairs what
it does not understand is how requests are smuggled. Apart from the connection so that it can be
compared with other parsers (httptools, h11) as a pure function of bytes.
"""

from __future__ import annotations

import re

from ouroboros.entrypoints.surface.limits import Limits
from ouroboros.entrypoints.surface.memo import Memo
from ouroboros.entrypoints.surface.refusal import Refusal

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(
    # RFC 3986 allows less; browsers send { } | \ ^ ` [ ] in queries as they are.
    rb"(" + TOKEN + rb") (/[!$-;=?-~]*|\*) HTTP/1\.([01])\r\n"
)
FIELD_BLOCK = re.compile(rb"(?:" + TOKEN + rb":[\t -~\x80-\xff]*+\r\n)*+")
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*([\t -~\x80-\xff]*)\r\n")
BROKEN_PART = re.compile(rb"\r[^\n]|(?<!\r)\n|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
HOST = re.compile(rb"(\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z.-]{1,253})(?::[0-9]{1,5})?")
LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")
COMMIT = re.compile(rb"[0-9a-f]{7,64}")

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
# Methods whose meaning is between two neighbours, not between a browser and an application.
REFUSED_METHODS = frozenset((b"CONNECT", b"TRACE", b"TRACK", b"PRI"))
NAMES = 1024


class Fields:
    """The header fields of a request, read once; shared by all requests with the same bytes.

    Not a dataclass: it is built on the hot path, and a frozen dataclass costs two microseconds.
    `first` holds the fields that the surface reads, `block` all of them as they came. `length`
    is the body's size, 0 for none and -1 for chunked.
    """

    __slots__ = (
        "block",
        "expect_commit",
        "expect_continue",
        "first",
        "hop_by_hop",
        "is_conditional",
        "keep_alive",
        "length",
        "upgrade",
    )

    def __init__(self, block: bytes, first: dict[bytes, bytes]) -> None:
        self.block = block
        self.first = first
        self.keep_alive = True
        self.length = 0
        self.upgrade = b""
        self.expect_continue = False
        self.is_conditional = False
        self.expect_commit = b""
        self.hop_by_hop: frozenset[bytes] = NOTHING

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


NOTHING: frozenset[bytes] = frozenset()


class Request:
    """One request head as it was accepted; `target` holds the bytes as they came.

    `passage` is the gateway's: the head for the backend, kept for requests of the same bytes.
    `is_plain` says that nothing but the method and the target matters for framing.
    """

    __slots__ = (
        "fields", "http11", "is_plain", "method", "passage", "path", "query", "target"
    )  # fmt: skip

    def __init__(self, method: bytes, target: bytes, http11: bool, fields: Fields) -> None:
        self.method = method
        self.target = target
        self.http11 = http11
        self.fields = fields
        self.path, _, self.query = target.partition(b"?")
        self.passage: tuple[bytes, bytes] | None = None
        self.is_plain = (
            http11
            and fields.keep_alive
            and not fields.length
            and not fields.upgrade
            and method != b"HEAD"
        )


class Grammar:
    """Reads request heads for one surface and remembers the header blocks it has seen."""

    def __init__(self, limits: Limits, hosts: frozenset[bytes]) -> None:
        self._limits = limits
        self._hosts = hosts
        # One for each version: the same fields mean something else in HTTP/1.0.
        self._memo = {b"0": Memo[Fields](limits.memo_entries), b"1": Memo[Fields](limits.memo_entries)}
        self._names: dict[bytes, bytes] = {}
        self._good_hosts: set[bytes] = set()

    def read(self, head: bytes) -> Request:
        """Read one complete head, its final empty line included.

        Raises `Refusal`: 400, 405, 414, 421 or 431, with a code that names the rule.
        """
        line = REQUEST_LINE.match(head)
        if line is None:
            raise request_line_refusal(head)
        method, target, minor = line.groups()
        if len(target) > self._limits.target_bytes:
            raise Refusal(414, "target_too_long", "The request target is too long.")
        if method in REFUSED_METHODS:
            raise Refusal(405, "method_refused", "This method is not served here.")
        if target == b"*" and method != b"OPTIONS":
            raise Refusal(400, "bad_target", "The asterisk form belongs to OPTIONS alone.")
        block = head[line.end() : -2]
        memo = self._memo[minor]
        fields = memo.known.get(block)
        if fields is None:
            fields = self._read_fields(block, minor == b"1")
            if len(block) <= self._limits.memo_head_bytes:
                memo.offer(block, fields)
        if fields.upgrade and (method != b"GET" or fields.length):
            raise Refusal(400, "bad_upgrade", "An upgrade is a GET without a body.")
        return Request(method, target, minor == b"1", fields)

    def check_part(self, part: bytes) -> None:
        """Refuse the beginning of a head as soon as no continuation could make it valid.

        Raises `Refusal` (400, 414, 431); silence means that more bytes are needed.
        """
        if BROKEN_PART.search(part) is not None:
            raise Refusal(400, "bad_character", "A bare CR, LF or control character in the head.")
        end = part.find(b"\r\n")
        if end < 0:
            if len(part) > self._limits.target_bytes + 64:
                raise Refusal(414, "target_too_long", "The request line is too long.")
        elif REQUEST_LINE.match(part) is None:
            raise request_line_refusal(part)
        if len(part) > self._limits.head_bytes:
            raise Refusal(431, "head_too_large", "The header section is too large.")

    def _read_fields(self, block: bytes, http11: bool) -> Fields:
        if FIELD_BLOCK.fullmatch(block) is None:
            raise Refusal(400, "bad_field", "A header line breaks the grammar of RFC 9112.")
        lines = block.split(b"\r\n")
        if len(lines) > self._limits.fields + 1:
            raise Refusal(431, "too_many_fields", "Too many header fields.")
        first: dict[bytes, bytes] = {}
        names = self._names
        for line in lines:
            raw, _, value = line.partition(b":")
            name = names.get(raw)
            if name is None:
                name = self._learn(raw)
            if name:
                value = value.strip(b" \t")  # noqa: PLW2901
                if name in first:
                    if name not in LISTS:
                        raise Refusal(400, "repeated_field", "A header field is there twice.")
                    value = first[name] + b", " + value  # noqa: PLW2901
                first[name] = value
        fields = Fields(block, first)
        fields.keep_alive = http11
        host = first.get(b"host")
        if host not in self._good_hosts:
            self._check_host(host)
        if b"connection" in first:
            self._read_connection(fields, first[b"connection"], http11)
        if b"content-length" in first or b"transfer-encoding" in first or b"expect" in first:
            self._read_framing(fields, http11)
        fields.is_conditional = not CONDITIONAL.isdisjoint(first)
        expected = first.get(b"x-preview-expect")
        if expected is not None:
            if COMMIT.fullmatch(expected) is None:
                raise Refusal(400, "bad_expected_commit", "X-Preview-Expect is not a commit.")
            fields.expect_commit = expected
        return fields

    def _learn(self, raw: bytes) -> bytes:
        """Which field a spelling means, or the empty name for one that is not read here."""
        lowered = raw.lower()
        name = lowered if lowered in READ else b""
        if len(self._names) < NAMES:
            self._names[raw] = name
        return name

    def _check_host(self, host: bytes | None) -> None:
        if host is None:
            raise Refusal(400, "host_missing", "A request names its Host.")
        match = HOST.fullmatch(host)
        if match is None:
            raise Refusal(400, "bad_host", "The Host field is not a host and a port.")
        if match.group(1).lower() not in self._hosts:
            raise Refusal(421, "host_not_served", "This host name is not served here.")
        if len(self._good_hosts) < NAMES:
            self._good_hosts.add(host)

    def _read_connection(self, fields: Fields, options: bytes, http11: bool) -> None:
        named = frozenset(part.strip(b" \t") for part in options.lower().split(b","))
        if named & NEVER_HOP_BY_HOP:
            raise Refusal(400, "bad_connection", "Connection names an end-to-end field.")
        fields.hop_by_hop = named
        fields.keep_alive = b"close" not in named and (http11 or b"keep-alive" in named)
        upgrade = fields.first.get(b"upgrade", b"")
        # HTTP/2 by upgrade would open a second grammar behind our back (h2c smuggling).
        if http11 and b"upgrade" in named and b"h2c" not in upgrade.lower():
            fields.upgrade = upgrade

    def _read_framing(self, fields: Fields, http11: bool) -> None:
        coding = fields.first.get(b"transfer-encoding")
        length = fields.first.get(b"content-length")
        if coding is not None:
            if length is not None or not http11 or coding.lower() != b"chunked":
                raise Refusal(400, "bad_framing", "The length of the body is ambiguous.")
            fields.length = -1
        elif length is not None:
            if LENGTH.fullmatch(length) is None:
                raise Refusal(400, "bad_length", "Content-Length is not a plain number.")
            fields.length = int(length)
            if fields.length > self._limits.body_bytes:
                raise Refusal(413, "body_too_large", "The body is larger than is taken here.")
        expect = fields.first.get(b"expect")
        if expect is not None:
            if expect.lower() != b"100-continue":
                raise Refusal(417, "bad_expectation", "Only 100-continue can be expected.")
            fields.expect_continue = http11 and fields.length != 0


def request_line_refusal(head: bytes) -> Refusal:
    """Say what is wrong with a request line that the grammar does not accept."""
    line = head.partition(b"\r\n")[0]
    if b"\n" in line or b"\r" in line or b"\0" in line:
        return Refusal(400, "bad_character", "A bare CR, LF or NUL in the request line.")
    if re.fullmatch(TOKEN + rb" \S+ HTTP/[0-9.]+", line):
        if not re.search(rb" HTTP/1\.[01]$", line):
            return Refusal(400, "bad_version", "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
        return Refusal(400, "bad_target", "The request target is not an absolute path.")
    return Refusal(400, "bad_request_line", "The request line breaks the grammar.")
