"""Where a message body ends: plain lengths and the chunked coding, read strictly.

Apart, because requests and answers use the same rules (RFC 9112, sections 6 and 7), and because
chunks are always written anew from their data: a framing that we read is never passed on.
"""

from __future__ import annotations

import re

from ouroboros.entrypoints.surface.head import FIELD, FIELD_BLOCK
from ouroboros.entrypoints.surface.refusal import Refusal

CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
LAST_CHUNK = b"0\r\n"
# Fields that change what a message is must not arrive after it (RFC 9110, section 6.5.1).
FORBIDDEN_TRAILERS = frozenset(
    (b"content-length", b"transfer-encoding", b"host", b"connection", b"upgrade", b"te",
     b"trailer", b"content-encoding", b"content-type", b"content-range", b"authorization",
     b"cookie", b"set-cookie", b"expect", b"range", b"cache-control", b"x-request-id")
)  # fmt: skip


class LengthBody:
    """A body of a known number of bytes."""

    __slots__ = ("done", "remaining")

    def __init__(self, length: int) -> None:
        self.remaining = length
        self.done = length == 0

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Take what belongs to the body; return the pieces to pass on and what follows it."""
        if len(data) < self.remaining:
            self.remaining -= len(data)
            return [data], b""
        taken = self.remaining
        self.remaining = 0
        self.done = True
        if len(data) == taken:
            return [data], b""
        return [data[:taken]], data[taken:]


class ChunkedBody:
    """A body in the chunked coding; extensions and everything lenient are refused.

    With `decoded` the pieces are the bare data, otherwise chunks written anew.
    """

    __slots__ = ("_limit", "_part", "_remaining", "_state", "decoded", "done", "size", "trailers")

    def __init__(self, trailer_bytes: int, *, decoded: bool = False) -> None:
        self._limit = trailer_bytes
        self._state = "size"
        self._remaining = 0
        self._part = b""
        self.decoded = decoded
        self.done = False
        self.size = 0
        self.trailers = b""

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Take what belongs to the body; return the pieces to pass on and what follows it.

        Raises `Refusal` (400 `bad_chunk`) at the first byte that cannot belong to a chunk.
        """
        pieces: list[bytes] = []
        at = 0
        if self._part:
            data = self._part + data
            self._part = b""
        while at < len(data) and not self.done:
            if self._state == "size":
                at = self._read_size(data, at)
            elif self._state == "data":
                at = self._read_data(data, at, pieces)
            elif self._state == "end":
                at = self._read_end(data, at)
            else:
                at = self._read_trailers(data, at, pieces)
        return pieces, data[at:] if self.done else b""

    def _read_size(self, data: bytes, at: int) -> int:
        end = data.find(b"\r\n", at, at + 18)
        line = data[at:end] if end >= 0 else data[at:].rstrip(b"\r")
        if (line or end >= 0) and CHUNK_SIZE.fullmatch(line) is None:
            raise Refusal(400, "bad_chunk", "A chunk size is not a plain hexadecimal number.")
        if end < 0:
            if len(data) - at >= 18 or data.count(b"\r", at) > 1:
                raise Refusal(400, "bad_chunk", "A chunk size is too long.")
            self._part = data[at:]
            return len(data)
        self._remaining = int(line, 16)
        self._state = "data" if self._remaining else "trailers"
        return end + 2

    def _read_data(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        piece = data[at : at + self._remaining]
        self._remaining -= len(piece)
        self.size += len(piece)
        if self.decoded:
            pieces.append(piece)
        else:
            pieces += (b"%x\r\n" % len(piece), piece, b"\r\n")
        if not self._remaining:
            self._state = "end"
        return at + len(piece)

    def _read_end(self, data: bytes, at: int) -> int:
        if data[at : at + 2] == b"\r\n":
            self._state = "size"
            return at + 2
        if data[at:] != b"\r":
            raise Refusal(400, "bad_chunk", "A chunk is longer than it said.")
        self._part = b"\r"
        return len(data)

    def _read_trailers(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        if data.startswith(b"\r\n", at):
            end, block = at, b""
        else:
            end = data.find(b"\r\n\r\n", at)
            block = data[at : end + 2] if end >= 0 else b""
        if end < 0 or len(block) > self._limit:
            if len(data) - at > self._limit:
                raise Refusal(400, "bad_trailer", "The trailer section is too large.")
            self._part = data[at:]
            return len(data)
        if FIELD_BLOCK.fullmatch(block) is None:
            raise Refusal(400, "bad_trailer", "A trailer line breaks the grammar.")
        for name, value in FIELD.findall(block):
            if name.lower() not in FORBIDDEN_TRAILERS and not name.lower().startswith(b"x-forw"):
                self.trailers += name + b": " + value + b"\r\n"
        if not self.decoded:
            pieces.append(LAST_CHUNK + self.trailers + b"\r\n")
        self.done = True
        return end + (4 if block else 2)


Body = LengthBody | ChunkedBody
