"""Redirects and header rules of an application, as people know them from Netlify and Vercel.

Apart, because it is a small language of its own: patterns with `*` and `:name`, compiled when the
release is indexed, and refused there when they could break the framing of an answer.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

STATUSES = frozenset((200, 301, 302, 303, 307, 308, 404, 410))
_PLACEHOLDER = re.compile(r":([A-Za-z_][A-Za-z0-9_]*)")
_FIELD_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_FIELD_VALUE = re.compile(r"[\t -~]*")
# These belong to the connection or say what the surface itself vouches for.
_RESERVED = frozenset(
    ("connection", "content-length", "transfer-encoding", "content-encoding", "content-range",
     "trailer", "upgrade", "keep-alive", "te", "date", "etag", "x-request-id", "x-preview-slot",
     "x-preview-run", "x-preview-commit", "x-preview-publish", "x-preview-data")
)  # fmt: skip


class Redirect(NamedTuple):
    """One rule: requests that match `pattern` go to `target` with `status` (200 rewrites)."""

    pattern: re.Pattern[bytes]
    target: str
    status: int
    force: bool

    def apply(self, path: bytes) -> bytes | None:
        """The target for a path as it stands in the request, or None when it does not match."""
        match = self.pattern.fullmatch(path)
        if match is None:
            return None
        parts = {name: value or b"" for name, value in match.groupdict().items()}

        def fill(found: re.Match[bytes]) -> bytes:
            return parts.get(found.group(1).decode(), found.group(0))

        filled = re.sub(rb":([A-Za-z_][A-Za-z0-9_]*)", fill, self.target.encode())
        # A splat must not turn a path into another host: //evil.example.
        return re.sub(rb"^/{2,}", b"/", filled) if self.target.startswith("/") else filled


class HeaderRule(NamedTuple):
    """Header lines for the paths that match `pattern`."""

    pattern: re.Pattern[bytes]
    values: tuple[tuple[str, str], ...]


def read_redirects(value: Any) -> tuple[Redirect, ...]:
    """Compile `[[redirects]]`; Netlify's keys (from, to) and Vercel's (source, destination)."""
    rules = []
    for item in value if isinstance(value, list) else ():
        if not isinstance(item, dict):
            continue
        source = item.get("from", item.get("source"))
        target = item.get("to", item.get("destination"))
        status = item.get("status", item.get("statusCode"))
        if status is None:
            status = 308 if item.get("permanent") is True else 307 if "source" in item else 301
        if (
            isinstance(source, str)
            and isinstance(target, str)
            and status in STATUSES
            and re.fullmatch(r"/[!-~]*", source)
            and re.fullmatch(r"(/|https?://)[!-~]*", target)
        ):
            rules.append(Redirect(compile_path(source), target, status, item.get("force") is True))
    return tuple(rules)


def read_headers(value: Any) -> tuple[HeaderRule, ...]:
    """Compile `[[headers]]`: `for` with a table `values`, or `source` with a list `headers`."""
    rules = []
    for item in value if isinstance(value, list) else ():
        if not isinstance(item, dict):
            continue
        source = item.get("for", item.get("source"))
        given = item.get("values", item.get("headers"))
        pairs: list[tuple[Any, Any]] = []
        if isinstance(given, dict):
            pairs = list(given.items())
        elif isinstance(given, list):
            pairs = [(g.get("key"), g.get("value")) for g in given if isinstance(g, dict)]
        kept = tuple((n, v) for n, v in pairs if _is_field(n, v))
        if isinstance(source, str) and re.fullmatch(r"/[!-~]*", source) and kept:
            rules.append(HeaderRule(compile_path(source), kept))
    return tuple(rules)


def with_headers(lines: bytes, rules: tuple[HeaderRule, ...], path: bytes) -> bytes:
    """The header lines with what the rules say for a path; a rule replaces our own line."""
    added: dict[str, bytes] = {}
    for rule in rules:
        if rule.pattern.fullmatch(path):
            for name, value in rule.values:
                added[name.lower()] = f"{name}: {value}\r\n".encode()
    if not added:
        return lines
    kept = [
        line + b"\r\n"
        for line in lines.split(b"\r\n")[:-1]
        if line.partition(b":")[0].decode().lower() not in added
    ]
    return b"".join(kept) + b"".join(added.values())


def compile_path(source: str) -> re.Pattern[bytes]:
    """A pattern from a path with `:name` (one segment) and `*` (the rest, named splat)."""
    parts = []
    names: set[str] = set()
    pieces = re.split(r"(:[A-Za-z_][A-Za-z0-9_]*\*?|\*)", source)
    for at, piece in enumerate(pieces):
        if at % 2 == 0:  # what lies between placeholders
            parts.append(re.escape(piece))
            continue
        name = piece[1:].rstrip("*") if piece.startswith(":") else "splat"
        shape = ".*" if piece.endswith("*") else "[^/]+"
        parts.append(f"(?P<{name}>{shape})" if name not in names else shape)
        names.add(name)
    pattern = "".join(parts)
    # `/old/*` means `/old` too, as it does at Netlify.
    if pattern.endswith("/(?P<splat>.*)"):
        pattern = pattern[: -len("/(?P<splat>.*)")] + "(?:/(?P<splat>.*))?"
    return re.compile(pattern.encode())


def _is_field(name: Any, value: Any) -> bool:
    return (
        isinstance(name, str)
        and isinstance(value, str)
        and _FIELD_NAME.fullmatch(name) is not None
        and _FIELD_VALUE.fullmatch(value) is not None
        and name.lower() not in _RESERVED
    )
