"""Sends a part of an open file, as much at a time as the client takes.

Apart, because an answer from an open file is the one that lasts: it keeps its file, its place
in it, and whether the connection is kept afterwards.
"""

from __future__ import annotations

import asyncio
import errno
import os

from ouroboros.entrypoints.surface.representation import OpenedFile

# So much at once, then the other connections have their turn.
TURN_BYTES = 1024 * 1024
# So much is read and left to the transport, which waits until the client takes it.
PIECE_BYTES = 32 * 1024


class FileSender:
    """The rest of a file answer; `keep` says whether the connection is kept after it.

    The system copies from the file to the socket (sendfile(2)), which is a third of the time of
    reading and writing it. That goes past the transport, so it is done only while the transport
    has nothing to write; when the socket is full the transport gets a small piece to wait with.
    """

    __slots__ = ("_at", "_file", "_socket", "_stop", "keep")

    def __init__(
        self, file: OpenedFile, start: int, stop: int, keep: bool, transport: asyncio.Transport
    ) -> None:
        self._file = file
        self._at = start
        self._stop = stop
        self.keep = keep
        self._socket: int = transport.get_extra_info("socket").fileno()
        # From now on the transport says when it has anything to write, and when no more.
        transport.set_write_buffer_limits(high=0)

    def send_some(self, transport: asyncio.Transport) -> bool:
        """Send a turn's part; True when it was the last. Raises `OSError` when the file ends early.

        Not to be called while the transport has something to write.
        """
        stop = min(self._stop, self._at + TURN_BYTES)
        while self._at < stop and not self._is_full(stop):
            pass
        if self._at < stop:
            self._leave_piece(transport)
        if self._at < self._stop:
            return False
        transport.set_write_buffer_limits()
        return True

    def _is_full(self, stop: int) -> bool:
        """Let the system send up to `stop`; says whether the socket takes no more for now."""
        try:
            sent = os.sendfile(self._socket, self._file.handle, self._at, stop - self._at)
        except OSError as error:
            # The second: a file system that cannot be sent from is read like any other.
            if error.errno in (errno.EAGAIN, errno.EINVAL):
                return True
            raise
        if not sent:
            raise OSError("the file is shorter than its index says")
        self._at += sent
        return False

    def _leave_piece(self, transport: asyncio.Transport) -> None:
        piece = os.pread(self._file.handle, min(PIECE_BYTES, self._stop - self._at), self._at)
        if not piece:
            raise OSError("the file is shorter than its index says")
        self._at += len(piece)
        transport.write(piece)
