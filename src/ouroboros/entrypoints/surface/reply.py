"""Writes the surface's own answers on a client's connection: files, pages, errors.

Apart from the connection's phases, which it leaves as they are but for sending a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ouroboros.entrypoints.surface.ready import SMALL_BYTES, Ready, make_ready
from ouroboros.entrypoints.surface.refusal import Refusal
from ouroboros.entrypoints.surface.sender import FileSender

if TYPE_CHECKING:
    from ouroboros.entrypoints.surface.accesslog import AccessLog
    from ouroboros.entrypoints.surface.answer import Answer
    from ouroboros.entrypoints.surface.client import Client
    from ouroboros.entrypoints.surface.request import Request
    from ouroboros.entrypoints.surface.view import View


def send_ready(client: Client, ready: Ready) -> None:
    """Send a prepared answer."""
    status, text, body, _ = ready
    surface = client.surface
    surface.count[status] += 1
    if not body:
        client.transport.write(surface.stamps[status] + text)
    elif len(body) < SMALL_BYTES:
        client.transport.write(surface.stamps[status] + text + body)
    else:
        client.transport.writelines((surface.stamps[status] + text, body))


def send(client: Client, answer: Answer, request: Request, view: View) -> None:
    """Send an answer to a request, and remember it where the same bytes get the same."""
    surface = client.surface
    keep = request.fields.keep_alive and not surface.draining
    if client.body is not None and request.fields.expect_continue:
        keep = False  # Nobody can tell whether the client will send its body now.
    if request.method == b"HEAD":
        answer.body, answer.file = b"", None
    lines = answer.lines + view.lines + connection_line(keep, request)
    surface.count[answer.status] += 1
    stamp = surface.stamps[answer.status]
    if surface.log is not None:
        log(client, request, answer.status, len(answer.body) + answer.stop - answer.start)
    if answer.file is not None:
        sender = FileSender(answer.file, answer.start, answer.stop, keep, client.transport)
        client.transport.write(stamp + lines)
        client.begin_sending(sender)
        return
    if answer.fixed and keep and request.http11 and request.repeats and not request.fields.length:
        surface.remember(request.head, make_ready(answer.status, lines, answer.body))
    if len(answer.body) < SMALL_BYTES:
        client.transport.write(stamp + lines + answer.body)
    else:
        client.transport.writelines((stamp + lines, answer.body))
    client.after(keep=keep)


def send_file(client: Client) -> None:
    """Send of an open file what the client takes at the moment, a turn at a time."""
    sender = client.sender
    if sender is None or client.is_stalled or client.transport.is_closing():
        return
    try:
        is_sent = sender.send_some(client.transport)
    except OSError:
        client.transport.abort()  # The file ended early, and its length was promised.
        return
    client.since = client.surface.now
    if is_sent:
        client.sender = None
        client.after(keep=sender.keep)
    elif not client.is_stalled:
        client.surface.loop.call_soon(send_file, client)


def refuse(client: Client, refusal: Refusal, request: Request | None) -> None:
    """Answer with an error; the connection is kept where that is safe."""
    surface = client.surface
    answer = surface.error(refusal, request)
    keep = (
        not refusal.fatal
        and request is not None
        and request.fields.keep_alive
        and client.body is None
        and not surface.draining
    )
    surface.count[answer.status] += 1
    if surface.log is not None:
        log(client, request, answer.status, len(answer.body))
    body = answer.body if request is None or request.method != b"HEAD" else b""
    lines = answer.lines + connection_line(keep, request)
    client.transport.write(surface.stamps[answer.status] + lines + body)
    if keep:
        client.after(keep=True)
    else:
        client.linger()


def log(client: Client, request: Request | None, status: int, size: int) -> None:
    """Note an answer in the access log."""
    cast("AccessLog", client.surface.log).add(client.peer, request, status, size, b"", 0.0)


def connection_line(keep: bool, request: Request | None) -> bytes:
    """The last lines of a head: Connection where it is not what the version implies."""
    if not keep:
        return b"Connection: close\r\n\r\n"
    return b"\r\n" if request is None or request.http11 else b"Connection: keep-alive\r\n\r\n"
