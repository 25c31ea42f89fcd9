"""An answer of the surface's own, before it is framed for a connection.

Apart, so that the static side, the state pages and the errors decide what is said, and only the
client connection knows about keep-alive, dates and sockets.
"""

from __future__ import annotations

import json

from ouroboros.entrypoints.surface.representation import OpenedFile

REASONS = {
    200: "OK", 204: "No Content", 206: "Partial Content", 301: "Moved Permanently",
    302: "Found", 303: "See Other", 304: "Not Modified", 307: "Temporary Redirect",
    308: "Permanent Redirect", 400: "Bad Request", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 408: "Request Timeout", 409: "Conflict", 410: "Gone",
    412: "Precondition Failed", 413: "Content Too Large", 414: "URI Too Long",
    416: "Range Not Satisfiable", 417: "Expectation Failed", 421: "Misdirected Request",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip


class Answer:
    """Status, header lines (each with its CRLF) and a body in memory or in an open file.

    `lines` holds everything but the status line, Date and Connection. `fixed` says that the same
    request bytes get the same answer for as long as the view holds; `by_path` that every simple
    request for this target does which accepts the same codings.
    """

    __slots__ = ("body", "by_path", "file", "fixed", "lines", "start", "status", "stop")

    def __init__(self, status: int, lines: bytes, body: bytes = b"", *, fixed: bool = False):
        self.status = status
        self.lines = lines
        self.body = body
        self.fixed = fixed
        self.by_path = False
        self.file: OpenedFile | None = None
        self.start = 0
        self.stop = 0


def text_answer(status: int, kind: str, body: bytes, extra: bytes = b"") -> Answer:
    """An answer with a generated body that nobody may store."""
    lines = (
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
    ).encode()
    return Answer(status, lines + extra, body)


def problem(status: int, code: str, detail: str, extra: bytes = b"", **members: object) -> Answer:
    """An error for a program (RFC 9457, application/problem+json)."""
    document = {
        "type": "about:blank",
        "title": REASONS[status],
        "status": status,
        "error": code,
        "detail": detail,
        **members,
    }
    body = json.dumps(document, ensure_ascii=True).encode() + b"\n"
    return text_answer(status, "application/problem+json", body, extra)
