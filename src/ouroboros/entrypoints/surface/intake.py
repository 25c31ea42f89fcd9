"""What a client has sent becomes requests, and each of them the beginning of its answer.

Apart from the connection, which holds the socket and its phase: here bytes are cut into heads,
and a request goes the shortest way that what is known of it allows. A line, a header line and
what they mean are remembered each by itself, so requests that differ in one header still meet
what is known of the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ouroboros.entrypoints.surface import reply
from ouroboros.entrypoints.surface.frame import Frame
from ouroboros.entrypoints.surface.framing import ChunkedBody, LengthBody
from ouroboros.entrypoints.surface.ready import PROXIED, Ready, make_ready
from ouroboros.entrypoints.surface.refusal import Refusal
from ouroboros.entrypoints.surface.request import CRLF, Line, Request, combine

if TYPE_CHECKING:
    from ouroboros.entrypoints.surface.client import Client

HEAD_END = b"\r\n\r\n"


def read_one(client: Client, data: bytes) -> bool:
    """Take one request from what has come; True when another one may follow at once."""
    surface = client.surface
    grammar = surface.grammar
    end = data.find(HEAD_END)
    try:
        if end < 0 or end + 4 > surface.limits.head_bytes:
            grammar.check_part(data)
            return False
        lines = data[:end].split(CRLF)
        line = grammar.read_line(lines.pop(0))
        fields, repeats = grammar.read_fields(lines, http11=line.http11)
        head = data[: end + 4]
        client.ahead = data[end + 4 :]
        if fields.is_simple and surface.log is None:
            ready = surface.quick.get((line, fields.codings))
            if ready is not None:
                client.since = surface.now
                if ready is PROXIED:
                    request = Request(line, lines, fields, head, repeats=repeats)
                    if repeats:
                        surface.remember(head, request)
                    client.body = None
                    odd = None if repeats or client.ahead or fields.named else grammar.odd
                    client.begin_exchange(request, surface.view)
                    if odd is not None and request.passage is not None:
                        _expect_alike(client, line, head, odd, request)
                else:
                    if repeats:
                        surface.remember(head, ready)
                    elif grammar.odd is not None and not client.ahead:
                        _expect_alike(client, line, head, grammar.odd, ready)
                    reply.send_ready(client, ready)
                return True
        request = combine(line, lines, fields, head, repeats=repeats)
    except Refusal as refusal:
        reply.refuse(client, refusal, None)
        return False
    begin(client, request)
    return True


def _expect_alike(
    client: Client, line: Line, head: bytes, odd: bytes, known: Ready | Request
) -> None:
    """Remember what a head was like but for one value, when its request line came twice in a row.

    A client that asks for one thing after the other would only pay for what it never uses.
    """
    if client.line is line:
        client.frame = Frame(head, odd, client.surface.age, known)
    client.line = line


def begin(client: Client, request: Request) -> None:
    """Answer a request ourselves, or hand it to the backend; keep what is worth keeping."""
    surface, fields = client.surface, request.fields
    view = surface.view
    client.since = surface.now
    client.body = None
    if fields.length:
        limit = surface.limits.trailer_bytes
        client.body = LengthBody(fields.length) if fields.length > 0 else ChunkedBody(limit)
    try:
        answer = surface.answer(view, request)
    except Refusal as refusal:
        reply.refuse(client, refusal, request)
        return
    if answer is not None:
        if answer.by_path and fields.is_simple and answer.file is None:
            ready = make_ready(answer.status, answer.lines + view.lines + CRLF, answer.body)
            surface.remember_line(request, ready)
        reply.send(client, answer, request, view)
        return
    if request.is_plain:
        if fields.is_simple:
            surface.remember_line(request, PROXIED)
        if request.repeats and not fields.expect_commit:
            surface.remember(request.head, request)
    client.begin_exchange(request, view)
