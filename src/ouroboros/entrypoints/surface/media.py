"""What kind of content a file is, by its name, and what follows from that.

Apart from the index because it is a table: content types as browsers want them (WHATWG MIME
Sniffing), what is worth compressing, and which names a bundler made from the content.
"""

from __future__ import annotations

import re
from itertools import pairwise

TYPES = {
    "html": "text/html; charset=utf-8", "htm": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8", "cjs": "text/javascript; charset=utf-8",
    "json": "application/json", "map": "application/json", "jsonld": "application/ld+json",
    "webmanifest": "application/manifest+json", "geojson": "application/geo+json",
    "txt": "text/plain; charset=utf-8", "md": "text/markdown; charset=utf-8",
    "csv": "text/csv; charset=utf-8", "xml": "application/xml", "rss": "application/rss+xml",
    "atom": "application/atom+xml", "ics": "text/calendar; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8", "yaml": "application/yaml", "yml": "application/yaml",
    "svg": "image/svg+xml", "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg",
    "gif": "image/gif", "webp": "image/webp", "avif": "image/avif", "ico": "image/x-icon",
    "bmp": "image/bmp", "apng": "image/apng", "woff": "font/woff", "woff2": "font/woff2",
    "ttf": "font/ttf", "otf": "font/otf", "eot": "application/vnd.ms-fontobject",
    "mp3": "audio/mpeg", "m4a": "audio/mp4", "ogg": "audio/ogg", "oga": "audio/ogg",
    "opus": "audio/ogg", "wav": "audio/wav", "flac": "audio/flac", "weba": "audio/webm",
    "mp4": "video/mp4", "m4v": "video/mp4", "webm": "video/webm", "ogv": "video/ogg",
    "mov": "video/quicktime", "m3u8": "application/vnd.apple.mpegurl", "ts": "video/mp2t",
    "pdf": "application/pdf", "wasm": "application/wasm", "zip": "application/zip",
    "gz": "application/gzip", "br": "application/octet-stream", "zst": "application/zstd",
    "tar": "application/x-tar", "7z": "application/x-7z-compressed",
    "glb": "model/gltf-binary", "gltf": "model/gltf+json", "bin": "application/octet-stream",
    "data": "application/octet-stream",
}  # fmt: skip
DEFAULT_TYPE = "application/octet-stream"
COMPRESSIBLE = frozenset(
    ("html", "htm", "css", "js", "mjs", "cjs", "json", "map", "jsonld", "webmanifest", "geojson",
     "txt", "md", "csv", "xml", "rss", "atom", "ics", "vtt", "yaml", "yml", "svg", "ttf", "otf",
     "eot", "ico", "bmp", "wasm", "gltf")
)  # fmt: skip

_FINGERPRINT = re.compile(r"[-._]([A-Za-z0-9_-]{8,40})\.[A-Za-z0-9.]+$")
_LOWER_HEX = re.compile(r"[0-9a-f]+")


def extension(path: str) -> str:
    """The extension of the last segment in lower case, or the empty string."""
    name = path.rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name[1:] else ""


def content_type(path: str) -> str:
    """The Content-Type of a file by its name."""
    return TYPES.get(extension(path), DEFAULT_TYPE)


def looks_like_asset(path: str) -> bool:
    """Whether a missing path was meant as a file rather than as a page of the application."""
    return extension(path) in TYPES and extension(path) not in ("html", "htm")


def may_be_fingerprinted(path: str) -> bool:
    """Whether a name could hold a hash: `style-2146345d.css` could be a number as well.

    Enough to keep a file of an earlier release reachable, where a wrong yes costs nothing.
    """
    return _FINGERPRINT.search(path.rpartition("/")[2]) is not None


def is_fingerprinted(path: str) -> bool:
    """Whether a name holds a hash of the content, as bundlers write them (`index-BxK2f9aQ.js`).

    A wrong yes would keep an old file in browsers for a year, a wrong no costs one 304. So a
    part counts only when it changes its kind of character (lower, upper, digit) as often as
    hashes do and words like `Version2`, `DateTime` or `20240101` do not.
    """
    match = _FINGERPRINT.search(path.rpartition("/")[2])
    if match is None:
        return False
    # The greedy class may swallow the stem (`my-chart-BxK2f9aQ`): the hash is its last 8 or more.
    part = re.split(r"[-_.]", match.group(1))[-1]
    if len(part) < 8:
        part = match.group(1)[-8:]
    kinds = ["d" if c.isdigit() else "u" if c.isupper() else "l" for c in part if c.isalnum()]
    changes = sum(a != b for a, b in pairwise(kinds))
    if _LOWER_HEX.fullmatch(part):
        return changes >= 2
    return changes >= 4 or (changes >= 3 and "d" in kinds and "u" in kinds and "l" in kinds)
