"""The access log: one line for each answer, in the combined format that log tools read.

Apart, because what clients send ends up in a terminal: everything that is not plain text is
escaped here. Lines are kept and written twice a second; the file is opened for each write, so a
rotated log needs no signal.
"""

from __future__ import annotations

import os
import re
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ouroboros.entrypoints.surface.request import Request

_UNPLAIN = re.compile(rb"[^ !#-\[\]-~]")
KEPT_LINES = 20_000


class AccessLog:
    """Collects lines for a file, or for stderr when the path is `-`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lines: list[bytes] = []
        self._dropped = 0

    def add(
        self, peer: bytes, request: Request | None, status: int, size: int, request_id: bytes,
        seconds: float,
    ) -> None:  # fmt: skip
        """Note an answer; `size` is the length of its body, -1 when it was not known ahead."""
        if len(self._lines) >= KEPT_LINES:
            self._dropped += 1
            return
        line, referer, agent = b"-", b"-", b"-"
        if request is not None:
            version = b"1" if request.http11 else b"0"
            line = b"%s %s HTTP/1.%s" % (request.method, request.target, version)
            referer = _field(request.lines, b"referer")
            agent = _field(request.lines, b"user-agent")
        self._lines.append(
            b'%s - - [%s] "%s" %d %s "%s" "%s" %s %.3f\n' % (
                peer, time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime()).encode(),
                escaped(line), status, b"-" if size < 0 else b"%d" % size, escaped(referer),
                escaped(agent), request_id or b"-", seconds,
            )
        )  # fmt: skip

    def flush(self) -> None:
        """Write what is there. A full disk costs log lines and never an answer."""
        if not self._lines:
            return
        if self._dropped:
            self._lines.append(b"# %d lines were dropped\n" % self._dropped)
            self._dropped = 0
        text = b"".join(self._lines)
        self._lines.clear()
        try:
            if self._path == "-":
                sys.stderr.buffer.write(text)
                sys.stderr.buffer.flush()
                return
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
            try:
                os.write(handle, text)
            finally:
                os.close(handle)
        except OSError:
            self._dropped += text.count(b"\n")


def escaped(text: bytes) -> bytes:
    r"""The text with quotes, backslashes and everything unprintable as `\xNN`."""
    return _UNPLAIN.sub(lambda found: b"\\x%02x" % found.group(0)[0], text)


def _field(lines: list[bytes], name: bytes) -> bytes:
    for line in lines:
        if line[: len(name)].lower() == name and line[len(name) : len(name) + 1] == b":":
            return line[len(name) + 1 :].strip(b" \t")
    return b"-"
