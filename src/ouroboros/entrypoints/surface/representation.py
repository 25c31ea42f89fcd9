"""One form of one file as it goes over the wire: its header lines, its tag and its bytes.

Apart from the index, because a representation outlives it: an answer on its way keeps the bytes
or the open file of its release when the slot has been switched long since.
"""

from __future__ import annotations

import os
import zlib

# What hashlib.blake2b is; hashlib itself would set up every algorithm of OpenSSL (0.7 MB, 5 ms).
from _blake2 import blake2b

from ouroboros.entrypoints.surface.refusal import Refusal

READ_BYTES = 256 * 1024


class StoredFile:
    """A regular file of a release, in memory or as an open descriptor.

    The descriptor stays open as long as anything refers to this object, so removing the release
    directory does not cut an answer short. Files beyond the index's limit of descriptors are
    opened anew for each answer and must still be the file that was indexed.
    """

    __slots__ = ("_anew", "_identity", "_salt", "body", "handle", "path", "size", "tag")

    def __init__(self, path: str, handle: int, salt: str) -> None:
        self.path = path
        self.handle = handle
        status = os.fstat(handle)
        self.size = status.st_size
        self._identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        self._salt = salt
        self._anew: int | None = None
        self.body: bytes | None = None
        self.tag = b""

    def __del__(self) -> None:
        for handle in (self.handle, self._anew):
            if handle is not None and handle >= 0:
                os.close(handle)

    def load(self) -> None:
        """Take the content into memory and close the file."""
        parts = []
        while part := os.read(self.handle, READ_BYTES):
            parts.append(part)
        self.body = b"".join(parts)
        self.size = len(self.body)
        self.tag = digest_of(self.body)
        os.close(self.handle)
        self.handle = -1

    def digest(self, limit: int) -> None:
        """Make the tag from the content, or above `limit` bytes from the file's identity.

        Hashing a video would hold up the switch. The identity is as strong within one host,
        because a release is never written to: another publish is another file.
        """
        summary = blake2b(digest_size=12)
        if self.size <= limit:
            at = 0
            while part := os.pread(self.handle, READ_BYTES, at):
                summary.update(part)
                at += len(part)
        else:
            summary.update(repr((self._salt, self.path, self._identity)).encode())
        self.tag = summary.hexdigest().encode()

    def set_aside(self, web: int) -> None:
        """Close the file and remember the directory from which it is opened for an answer."""
        os.close(self.handle)
        self.handle = -1
        self._anew = os.dup(web)

    def open(self) -> OpenedFile:
        """Give a descriptor for one answer. Raises `Refusal` (404) when the file is gone."""
        if self._anew is None:
            return OpenedFile(self, self.handle, owned=False)
        handle = directory = os.dup(self._anew)
        try:
            *folders, name = self.path.split("/")
            for folder in folders:
                directory, before = _open(folder, os.O_DIRECTORY, directory), directory
                os.close(before)
            handle = _open(name, os.O_NONBLOCK, directory)
        except OSError as error:
            raise Refusal(404, "file_gone", "This file is no longer there.", fatal=False) from error
        finally:
            os.close(directory)
        opened = OpenedFile(self, handle, owned=True)
        status = os.fstat(handle)
        if self._identity != (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns):
            raise Refusal(404, "file_gone", "This file is no longer there.", fatal=False)
        return opened


def _open(name: str, flags: int, directory: int) -> int:
    return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=directory)


class OpenedFile:
    """A descriptor in the hands of one answer; closed with it when it was opened for it."""

    __slots__ = ("_keeps", "_owned", "handle")

    def __init__(self, keeps: StoredFile, handle: int, *, owned: bool) -> None:
        self._keeps = keeps
        self.handle = handle
        self._owned = owned

    def __del__(self) -> None:
        if self._owned:
            os.close(self.handle)


class Representation:
    """What is sent for a path in one content coding."""

    __slots__ = ("body", "coding", "file", "lines", "ready", "size", "tag")

    def __init__(
        self, lines: bytes, tag: bytes, body: bytes | None, file: StoredFile | None, coding: bytes
    ) -> None:
        self.lines = lines + (b"Content-Encoding: " + coding + b"\r\n" if coding else b"")
        self.tag = tag
        self.body = body
        self.file = file
        self.coding = coding
        self.size = len(body) if body is not None else file.size if file is not None else 0
        self.ready = b""

    def prepare(self) -> None:
        """Make the header lines of the usual answer, once nothing changes any more."""
        self.lines = b"ETag: " + self.tag + b"\r\n" + self.lines
        self.ready = self.lines + b"Accept-Ranges: bytes\r\nContent-Length: %d\r\n" % self.size

    @classmethod
    def of_file(cls, lines: bytes, file: StoredFile, coding: bytes) -> Representation:
        """The stored file as it is, or as a variant in `coding`."""
        if coding:
            lines += b"Vary: Accept-Encoding\r\n"
        kept = None if file.body is not None else file
        return cls(lines, entity_tag(file.tag, coding), file.body, kept, coding)

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from `start` to `stop`; only for small parts of large files."""
        if self.body is not None:
            return self.body[start:stop]
        if self.file is None:
            return b""
        return os.pread(self.file.open().handle, stop - start, start)


def digest_of(body: bytes) -> bytes:
    """The digest of a content, in hexadecimal."""
    return blake2b(body, digest_size=12).hexdigest().encode()


def entity_tag(digest: bytes, coding: bytes) -> bytes:
    """A strong ETag; two codings of one file are two representations (RFC 9110, 8.8.3.3)."""
    return b'"' + digest + (b"-" + coding if coding else b"") + b'"'


def compressed(body: bytes) -> bytes:
    """The body in gzip, the same bytes for the same input."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()
