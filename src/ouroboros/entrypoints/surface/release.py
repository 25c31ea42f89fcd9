"""What a release says about itself, and the index of its files made once at the switch.

Apart, because it is the only part of the surface that reads files by name, and it does so before
any request: a request is looked up in the index and never reaches the file system.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from typing import Any, NamedTuple

from ouroboros.entrypoints.surface import media
from ouroboros.entrypoints.surface.badge import with_badge
from ouroboros.entrypoints.surface.representation import (
    Representation,
    StoredFile,
    compressed,
    digest_of,
    entity_tag,
)
from ouroboros.entrypoints.surface.rules import HeaderRule, Redirect, read_headers, read_redirects

IN_MEMORY_FILE_BYTES = 256 * 1024
IN_MEMORY_TOTAL_BYTES = 8 * 1024 * 1024
HASHED_FILE_BYTES = 4 * 1024 * 1024
OPEN_FILES = 200
FILES = 50_000
DEPTH = 40
SIBLINGS = ((".br", b"br"), (".zst", b"zstd"), (".gz", b"gzip"))
SHORT = {b"br": b"br", b"zstd": b"zst", b"gzip": b"gz"}


class ReleaseInfo(NamedTuple):
    """The part of release.json that the surface acts on; unknown keys are ignored."""

    publish_id: str = ""
    slot_id: str = ""
    run_id: str = ""
    commit_sha: str = ""
    branch: str = ""
    created_at: str = ""
    seed_version: str = ""
    snapshot_version: str = ""
    database_fingerprint: str = ""
    spa: bool = True
    badge: bool = False
    has_frontend: bool = True
    has_backend: bool = True
    proxy_prefixes: tuple[bytes, ...] = (b"/api",)
    redirects: tuple[Redirect, ...] = ()
    headers: tuple[HeaderRule, ...] = ()


class Entry(NamedTuple):
    """One path of a release: what it is and the forms it can be sent in, by content coding."""

    path: str
    is_document: bool
    is_fingerprinted: bool
    identity: Representation
    variants: dict[bytes, Representation]


class Release(NamedTuple):
    """An indexed release; immutable once built, and pinned by each request that it answers."""

    info: ReleaseInfo
    name: str
    entries: dict[bytes, Entry]


def read_info(text: bytes) -> ReleaseInfo:
    """Read release.json; a value of the wrong type counts as not given.

    Raises `ValueError` when the document is not a JSON object.
    """
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError("release.json is not an object")  # noqa: TRY004 - bad content

    values: dict[str, Any] = {}
    for name in ReleaseInfo._fields:
        default = getattr(_DEFAULTS, name)
        value = document.get(name)
        if name == "proxy_prefixes":
            if isinstance(value, list):
                values[name] = tuple(_prefixes(value))
        elif name == "redirects":
            values[name] = read_redirects(value)
        elif name == "headers":
            values[name] = read_headers(value)
        elif type(value) is type(default):
            values[name] = _printable(value) if isinstance(value, str) else value
    return ReleaseInfo(**values)


_DEFAULTS = ReleaseInfo()


def _prefixes(values: list[Any]) -> Iterator[bytes]:
    for value in values:
        if isinstance(value, str) and value.startswith("/") and value.isascii():
            prefix = value.rstrip("/").encode()
            if prefix or value == "/":
                yield prefix


def _printable(text: str) -> str:
    """Keep a value fit for a header line: these names come from branches."""
    return "".join(c for c in text if " " <= c <= "~")[:200]


def index_release(directory: str, name: str) -> Release:
    """Index a published release: `directory` holds release.json and `web/`.

    Raises `OSError` or `ValueError` when it cannot be read; the caller keeps what it has.
    """
    root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        handle = os.open("release.json", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root)
        with os.fdopen(handle, "rb") as file:
            info = read_info(file.read(1024 * 1024))
        entries: dict[bytes, Entry] = {}
        if info.has_frontend:
            web = os.open("web", _DIRECTORY, dir_fd=root)
            try:
                entries = _index(web, info)
            finally:
                os.close(web)
    finally:
        os.close(root)
    return Release(info, name, entries)


def index_plain(directory: str, info: ReleaseInfo) -> Release:
    """Index a directory of files that was not published (a root without a live release)."""
    web = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return Release(info, "", _index(web, info))
    finally:
        os.close(web)


_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def _walk(directory: int, prefix: str, depth: int) -> Iterator[tuple[str, int]]:
    """Yield every regular file with an open descriptor; no symlink, no dotfile, no device."""
    with os.scandir(directory) as listing:
        names = sorted(entry.name for entry in listing)
    for name in names:
        if name.startswith(".") and not (name == ".well-known" and not prefix):
            continue
        try:
            mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode) and depth < DEPTH:
                below = os.open(name, _DIRECTORY, dir_fd=directory)
                try:
                    yield from _walk(below, f"{prefix}{name}/", depth + 1)
                finally:
                    os.close(below)
            elif stat.S_ISREG(mode):
                yield prefix + name, os.open(name, _FILE, dir_fd=directory)
        except OSError:
            # Gone or not readable between the listing and here: the release has no such file.
            continue


def _index(web: int, info: ReleaseInfo) -> dict[bytes, Entry]:
    stored: dict[str, StoredFile] = {}
    held = opened = 0
    for path, handle in _walk(web, "", 0):
        file = StoredFile(path, handle, info.publish_id)
        stored[path] = file
        if file.size <= IN_MEMORY_FILE_BYTES and held + file.size <= IN_MEMORY_TOTAL_BYTES:
            held += file.size
            file.load()
        elif opened < OPEN_FILES:
            opened += 1
            file.digest(HASHED_FILE_BYTES)
        else:
            file.digest(HASHED_FILE_BYTES)
            file.set_aside(web)
        if len(stored) >= FILES:
            break
    entries: dict[bytes, Entry] = {}
    for path, file in stored.items():
        entries["/".join(("", path)).encode("utf-8", "surrogateescape")] = _entry(
            path, file, stored, info
        )
    for entry in entries.values():
        for form in (entry.identity, *entry.variants.values()):
            form.prepare()
    return entries


def _entry(path: str, file: StoredFile, stored: dict[str, StoredFile], info: ReleaseInfo) -> Entry:
    kind = media.content_type(path)
    document = kind.startswith("text/html")
    fixed = media.is_fingerprinted(path) and not document
    lines = (
        f"Content-Type: {kind}\r\n"
        f"Cache-Control: {'public, max-age=31536000, immutable' if fixed else 'no-cache'}\r\n"
        "X-Content-Type-Options: nosniff\r\n"
    ).encode()
    if document and info.badge and file.body is not None:
        body = with_badge(file.body, info)
        if body is not file.body:
            # The siblings made at publish time hold the page without the badge.
            return _made_entry(path, lines, body)
    entry = Entry(path, document, fixed, Representation.of_file(lines, file, b""), {})
    for suffix, coding in SIBLINGS:
        sibling = stored.get(path + suffix)
        if sibling is not None and sibling.size < file.size:
            entry.variants[coding] = Representation.of_file(lines, sibling, coding)
    if entry.variants:
        entry.identity.lines += b"Vary: Accept-Encoding\r\n"
    return entry


def _made_entry(path: str, lines: bytes, body: bytes) -> Entry:
    tag = digest_of(body)
    lines += b"Vary: Accept-Encoding\r\n"
    whole = Representation(lines, entity_tag(tag, b""), body, None, b"")
    entry = Entry(path, True, False, whole, {})
    packed = compressed(body)
    entry.variants[b"gzip"] = Representation(lines, entity_tag(tag, b"gzip"), packed, None, b"gzip")
    return entry
