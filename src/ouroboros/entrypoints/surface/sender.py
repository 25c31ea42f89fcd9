"""Sends a part of an open file, as much at a time as the client takes.

Apart, because an answer from an open file is the one that lasts: it keeps its file, its place
in it, and whether the connection is kept afterwards.
"""

from __future__ import annotations

import asyncio
import os

from ouroboros.entrypoints.surface.representation import OpenedFile

PIECE_BYTES = 128 * 1024


class FileSender:
    """The rest of a file answer; `keep` says whether the connection is kept after it."""

    __slots__ = ("_at", "_file", "_stop", "keep")

    def __init__(self, file: OpenedFile, start: int, stop: int, keep: bool) -> None:
        self._file = file
        self._at = start
        self._stop = stop
        self.keep = keep

    def send_some(self, transport: asyncio.Transport) -> bool:
        """Send a piece; True when it was the last. Raises `OSError` when the file ends early."""
        piece = os.pread(self._file.handle, min(PIECE_BYTES, self._stop - self._at), self._at)
        if not piece and self._at < self._stop:
            raise OSError("the file is shorter than its index says")
        self._at += len(piece)
        transport.write(piece)
        return self._at >= self._stop
