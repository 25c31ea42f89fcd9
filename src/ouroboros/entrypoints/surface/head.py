"""The grammar of request heads: what a request is, byte for byte.

A strict whitelist (RFC 9112 with everything optional refused), because a proxy that repairs what
it does not understand is how requests are smuggled. Apart from the connection so that it can be
compared with other parsers (httptools, h11) as a pure function of bytes.
"""

from __future__ import annotations

import re

from ouroboros.entrypoints.surface.fields import (
    CONDITIONAL,
    CONNECTION_OPTIONS,
    DECIDING,
    DROPPED,
    FRAMING,
    LISTS,
    NEVER_HOP_BY_HOP,
    PASSED,
    READ,
    SPEAKS,
    Fields,
    is_dropped,
)
from ouroboros.entrypoints.surface.limits import Limits
from ouroboros.entrypoints.surface.memo import Memo
from ouroboros.entrypoints.surface.refusal import Refusal
from ouroboros.entrypoints.surface.request import CRLF, Line, Request, combine

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(
    # RFC 3986 allows less; browsers send { } | \ ^ ` [ ] in queries as they are.
    rb"(" + TOKEN + rb") (/[!$-;=?-~]*|\*) HTTP/1\.([01])"
)
FIELD_BLOCK = re.compile(rb"(?:" + TOKEN + rb":[\t -~\x80-\xff]*+\r\n)*+")
FIELD_NAME = re.compile(TOKEN)
FIELD_VALUE = re.compile(rb"[\t -~\x80-\xff]*+")
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*([\t -~\x80-\xff]*)\r\n")
BROKEN_PART = re.compile(rb"\r[^\n]|(?<!\r)\n|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
HOST = re.compile(rb"(\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z.-]{1,253})(?::[0-9]{1,5})?")
LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")
COMMIT = re.compile(rb"[0-9a-f]{7,64}")
# Methods whose meaning is between two neighbours, not between a browser and an application.
REFUSED_METHODS = frozenset((b"CONNECT", b"TRACE", b"TRACK", b"PRI"))
HOST_NAMES = 1024
LATEST_BYTES = 512


class Name:
    """A field name that was read: what its lines are to us, and the latest one.

    A line is kept when it comes twice in a row. To ask whether it came at any time before would
    cost lines that never repeat a third more.
    """

    __slots__ = ("kind", "latest")

    def __init__(self, kind: int) -> None:
        self.kind = kind
        self.latest = b""


class Grammar:
    """Reads request heads for one surface and remembers the lines that it has seen."""

    def __init__(self, limits: Limits, hosts: frozenset[bytes]) -> None:
        self._limits = limits
        self._hosts = hosts
        self._lines = Memo[Line](limits.memo_entries)
        self._kinds: dict[bytes, int] = {}
        self._names: dict[bytes, Name] = {}
        self.odd: bytes | None = None
        """The one line that the latest fields had which was not known, if it has no meaning."""
        # One for each version: the same fields mean something else in HTTP/1.0.
        self._meanings = (Memo[Fields](limits.memo_entries), Memo[Fields](limits.memo_entries))
        self._good_hosts: set[bytes] = set()

    def read(self, head: bytes) -> Request:
        """Read one complete head, its final empty line included.

        Raises `Refusal`: 400, 405, 413, 414, 417, 421 or 431, with a code that names the rule.
        """
        if not head.endswith(CRLF + CRLF):
            raise Refusal(400, "bad_field", "A header line does not end with CRLF.")
        lines = head[:-4].split(CRLF)
        line = self.read_line(lines.pop(0))
        fields, repeats = self.read_fields(lines, http11=line.http11)
        return combine(line, lines, fields, head, repeats=repeats)

    def read_line(self, text: bytes) -> Line:
        """Read a request line without its CRLF. Raises `Refusal` (400, 405, 414)."""
        line = self._lines.known.get(text)
        if line is not None:
            return line
        match = REQUEST_LINE.fullmatch(text)
        if match is None:
            raise request_line_refusal(text)
        method, target, minor = match.groups()
        if len(target) > self._limits.target_bytes:
            raise Refusal(414, "target_too_long", "The request target is too long.")
        if method in REFUSED_METHODS:
            raise Refusal(405, "method_refused", "This method is not served here.")
        if target == b"*" and method != b"OPTIONS":
            raise Refusal(400, "bad_target", "The asterisk form belongs to OPTIONS alone.")
        line = Line(method, target, http11=minor == b"1")
        if len(text) <= self._limits.memo_line_bytes:
            line.repeats = self._lines.offer(text, line)
        return line

    def read_fields(self, lines: list[bytes], *, http11: bool) -> tuple[Fields, bool]:
        """What header lines (without their CRLF) mean, and whether each has come before.

        Each line is read by itself, and most only as far as its name; what the lines with a
        meaning say together is remembered. So a line that never repeats costs itself alone.
        Raises `Refusal` (400, 413, 417, 421, 431).
        """
        if len(lines) > self._limits.fields:
            raise Refusal(431, "too_many_fields", "Too many header fields.")
        kinds, names = self._kinds, self._names
        repeats = True
        odd = None
        speaking = []
        for line in lines:
            kind = kinds.get(line)
            if kind is None:
                text, colon, value = line.partition(b":")
                name = names.get(text) or self._read_name(text)
                if not colon or FIELD_VALUE.fullmatch(value) is None:
                    raise _bad_field()
                kind = name.kind
                odd = line if repeats and kind == PASSED else None
                repeats = False
                if line == name.latest:
                    self._keep(line, kind)
                elif len(line) <= LATEST_BYTES:
                    name.latest = line
            if kind:
                speaking.append(line)
        if not repeats:
            self.odd = odd
        key = tuple(speaking)
        fields = self._meanings[http11].known.get(key)
        if fields is None:
            fields = self._understand(speaking, http11=http11)
            if sum(map(len, key)) <= self._limits.memo_head_bytes:
                self._meanings[http11].offer(key, fields)
        return fields, repeats

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
        elif REQUEST_LINE.fullmatch(part[:end]) is None:
            raise request_line_refusal(part)
        if len(part) > self._limits.head_bytes:
            raise Refusal(431, "head_too_large", "The header section is too large.")

    def _read_name(self, text: bytes) -> Name:
        """Read the name of a field that is not known. Raises `Refusal` (400)."""
        if FIELD_NAME.fullmatch(text) is None:
            raise _bad_field()
        lower = text.lower()
        name = Name(SPEAKS if lower in READ or is_dropped(lower) else PASSED)
        if len(text) <= self._limits.memo_line_bytes:
            if len(self._names) >= self._limits.memo_entries:
                self._names.clear()
            self._names[text] = name
        return name

    def _keep(self, line: bytes, kind: int) -> None:
        """Remember a header line that has come twice in a row."""
        if len(self._kinds) >= self._limits.memo_entries * 4:
            self._kinds.clear()
        self._kinds[line] = kind

    def _understand(self, lines: list[bytes], *, http11: bool) -> Fields:
        """Read what the lines mean together. Raises `Refusal` (400, 413, 417, 421)."""
        first: dict[bytes, bytes] = {}
        drops = []
        for line in lines:
            text, _, value = line.partition(b":")
            name, value = text.lower(), value.strip(b" \t")
            if is_dropped(name):
                drops.append(line)
            if name in first and name in READ:
                if name not in LISTS:
                    raise Refusal(400, "repeated_field", "A header field is there twice.")
                value = first[name] + b", " + value
            first[name] = value
        fields = Fields(first, http11=http11, drops=frozenset(drops))
        if first.get(b"host") not in self._good_hosts:
            self._check_host(first.get(b"host"))
        if not DECIDING.isdisjoint(first):
            self._decide(fields, http11=http11)
        return fields

    def _decide(self, fields: Fields, *, http11: bool) -> None:
        """Read the fields that make a request more than a plain one."""
        first = fields.first
        if b"connection" in first:
            self._read_connection(fields, first[b"connection"], http11)
        if not FRAMING.isdisjoint(first):
            self._read_framing(fields, http11)
        fields.is_conditional = not CONDITIONAL.isdisjoint(first)
        expected = first.get(b"x-preview-expect")
        if expected is not None:
            if COMMIT.fullmatch(expected) is None:
                raise Refusal(400, "bad_expected_commit", "X-Preview-Expect is not a commit.")
            fields.expect_commit = expected
        plain = http11 and fields.keep_alive and not fields.length and not fields.upgrade
        fields.is_plain = plain
        fields.is_simple = (
            plain and not fields.is_conditional and expected is None and b"via" not in first
        )

    def _check_host(self, host: bytes | None) -> None:
        if host is None:
            raise Refusal(400, "host_missing", "A request names its Host.")
        match = HOST.fullmatch(host)
        if match is None:
            raise Refusal(400, "bad_host", "The Host field is not a host and a port.")
        if match.group(1).lower() not in self._hosts:
            raise Refusal(421, "host_not_served", "This host name is not served here.")
        if len(self._good_hosts) < HOST_NAMES:
            self._good_hosts.add(host)

    def _read_connection(self, fields: Fields, options: bytes, http11: bool) -> None:
        named = frozenset(part.strip(b" \t") for part in options.lower().split(b","))
        if named & NEVER_HOP_BY_HOP:
            raise Refusal(400, "bad_connection", "Connection names an end-to-end field.")
        # A meaning is shared by requests whose other lines may be among those that it names.
        fields.named = named - DROPPED - CONNECTION_OPTIONS
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


def _bad_field() -> Refusal:
    return Refusal(400, "bad_field", "A header line breaks the grammar of RFC 9112.")


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
