"""The log of a publish: what each step printed, as files that are written while it runs.

`preview.publish.log` holds everything in order; `<step>.log` the part of one step. What a command
prints is cleaned and known secrets are masked before anything is written. The whole log is also
the spool of `output_delivery`, which reads it part by part; the build waits for a file alone.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import BinaryIO

from ouroboros.domain.masking import SecretMask
from ouroboros.domain.terminal_text import PLAIN, TerminalText, without_colours

PUBLISH_LOG = "preview.publish.log"
OUTPUT_KEPT_BYTES = 8 * 1024 * 1024
"""How much of one step's output is kept; of what comes later, the last `_TAIL_BYTES`."""
_TAIL_BYTES = 64 * 1024
_MEDIA_TYPES = {".json": "application/json", ".png": "image/png"}


@dataclass(frozen=True, slots=True)
class Artifact:
    """A finished file with its identity."""

    name: str
    media_type: str
    size_bytes: int
    sha256: str
    path: Path


def artifact_of(path: Path) -> Artifact:
    """The identity of a finished file, whose name says what it is."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    media_type = _MEDIA_TYPES.get(path.suffix, "text/plain; charset=utf-8")
    return Artifact(path.name, media_type, path.stat().st_size, digest, path)


@dataclass(frozen=True, slots=True)
class LogPart:
    """A part of the whole log, of one step. `start` and `end` are byte offsets in it."""

    start: int
    end: int
    step: str | None
    text: str


class PublishLog:
    """Writes the log of one publish; one thread writes, another may read its parts.

    A log that is there already is continued; what nobody has read of it yet counts to
    `first_step`, the step that was at work.
    """

    def __init__(
        self,
        directory: Path,
        secrets: Iterable[str],
        first_step: str | None = None,
        kept_bytes: int = OUTPUT_KEPT_BYTES,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.written = Event()
        """Set whenever something was written; whoever reads the parts clears it."""
        self._directory = directory
        self._mask = SecretMask(secrets)
        self._cleaner = TerminalText()
        self._whole: BinaryIO = (directory / PUBLISH_LOG).open("ab", buffering=0)
        self._of_step: BinaryIO | None = None
        self._steps: list[tuple[int, str | None]] = [(0, first_step)]
        self._size_bytes = self._whole.tell()
        # How a log that is continued ended is not known.
        self._line_begins = self._plain = self._size_bytes == 0
        self._kept_bytes = self._left_bytes = kept_bytes
        self._cut = False
        self._tail = bytearray()
        self._dropped_bytes = 0

    def close(self) -> None:
        """Give the files back."""
        self._whole.close()
        if self._of_step is not None:
            self._of_step.close()

    def step(self, name: str, title: str) -> None:
        """Begin the part of a step; a repeated step begins its own file anew."""
        self.flush()
        if self._of_step is not None:
            self._of_step.close()
        self._of_step = (self._directory / f"{name}.log").open("wb", buffering=0)
        self._steps.append((self._size_bytes, name))
        self._left_bytes, self._cut = self._kept_bytes, False
        self.line(f"==> {title}")

    def line(self, text: str) -> None:
        """Write one line of our own, with the time of day (UTC)."""
        self.flush()
        stamp = datetime.now(UTC).strftime("%H:%M:%S.%f")[:-3]
        clean = TerminalText().feed(text.encode("utf-8", "backslashreplace"), last=True)
        text = self._mask.mask(f"[{stamp}] {clean}\n")
        self._write(text.encode("utf-8", "backslashreplace"))

    def output(self, chunk: bytes) -> None:
        """Write a chunk of a command's output."""
        self._keep(self._mask.feed(self._cleaner.feed(chunk)))

    def flush(self) -> None:
        """Write what was held back, and end what the command left open: its line, its colours."""
        self._keep(self._mask.feed(self._cleaner.feed(b"", last=True)) + self._mask.finish())
        self._write_tail()
        self._end_line()

    def part_after(self, offset: int, limit_bytes: int, *, whole: bool = False) -> LogPart | None:
        """What follows an offset, of one step and at most so long; None when nothing does.

        A character or colour that is not there as a whole waits, unless the `whole` log has
        been written.
        """
        until = min(self._size_bytes, offset + limit_bytes)  # a step begins at the size or later
        at = bisect_right(self._steps, offset, key=lambda begin: begin[0]) - 1
        if at + 1 < len(self._steps):
            until = min(until, self._steps[at + 1][0])
        if until <= offset:
            return None
        try:
            with (self._directory / PUBLISH_LOG).open("rb") as file:
                file.seek(offset)
                data = file.read(until - offset)
        except FileNotFoundError:  # somebody has removed it: what is gone is gone
            return None
        if not whole or len(data) == limit_bytes:
            data = _whole_characters(data)
        if not data:
            return None
        text = data.decode("utf-8", "replace")
        return LogPart(offset, offset + len(data), self._steps[at][1], text)

    def tail(self, name: str, lines: int = 20) -> str:
        """The last lines of a step's part, without colours; empty when it has none."""
        try:
            with (self._directory / f"{name}.log").open("rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - 16384))
                text = file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        return without_colours("\n".join(text.splitlines()[-lines:]))

    def write(self, name: str, text: str) -> None:
        """Write a whole artifact of its own."""
        data = self._mask.mask(text).encode("utf-8", "backslashreplace")
        (self._directory / name).write_bytes(data)

    def keep(self, name: str, data: bytes) -> None:
        """Write a whole artifact that is no text."""
        (self._directory / name).write_bytes(data)

    def artifact(self, name: str) -> Artifact:
        """The identity of a file as it stands now."""
        self.flush()
        return artifact_of(self._directory / name)

    def _keep(self, text: str) -> None:
        """Write output as far as the step's share goes, and remember the end of the rest."""
        data = text.encode("utf-8", "backslashreplace")
        if not self._cut and len(data) <= self._left_bytes:
            self._left_bytes -= len(data)
            self._write(data)
            return
        if not self._cut:
            self._cut = True
            kept = _whole_characters(data[: self._left_bytes])
            data = data[len(kept) :]
            self._write(kept)
            self._end_line()
            self._write(
                b"[this step has printed %d bytes: only its last %d are kept from here on]\n"
                % (self._kept_bytes, _TAIL_BYTES)
            )
        self._tail += data
        if (over := len(self._tail) - _TAIL_BYTES) > 0:
            del self._tail[:over]
            self._dropped_bytes += over

    def _write_tail(self) -> None:
        tail, dropped = bytes(self._tail), self._dropped_bytes
        self._tail.clear()
        self._dropped_bytes = 0
        if dropped:
            line_ends = tail.find(b"\n") + 1
            dropped, tail = dropped + line_ends, tail[line_ends:]
            self._write(b"[%d bytes are left out here]\n" % dropped)
        self._write(tail)

    def _end_line(self) -> None:
        if not self._plain:
            self._write(PLAIN.encode())
            self._plain = True
        if not self._line_begins:
            self._write(b"\n")

    def _write(self, data: bytes) -> None:
        """Write clean text to both files."""
        if not data:
            return
        for file in (self._whole, self._of_step):
            left = memoryview(data)
            while file is not None and left:
                left = left[file.write(left) or 0 :]
        self._size_bytes = self._whole.tell()
        self._line_begins = data.endswith(b"\n")
        if (colour := data.rfind(b"\x1b[")) >= 0:
            self._plain = data.startswith((b"\x1b[m", b"\x1b[0m"), colour)
        self.written.set()


def _whole_characters(data: bytes) -> bytes:
    """The data up to its last whole UTF-8 character and colour sequence."""
    escape = data.rfind(b"\x1b")
    if escape >= 0 and b"m" not in data[escape:]:
        data = data[:escape]
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 != 0x80:
            length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
            return data if length <= back else data[:-back]
    return data
