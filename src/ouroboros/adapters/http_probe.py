"""Asking a slot's processes over HTTP, always at the literal loopback address.

For readiness gates and smoke checks only: small answers, short limits, no redirects.
"""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_BODY_LIMIT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; `status` 0 means that none came, and `body` says why."""

    status: int
    headers: Mapping[str, str]
    body: str

    def json(self) -> Any:
        """The body as JSON, or None when it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


def ask(
    port: int,
    path: str,
    *,
    method: str = "GET",
    document: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    time_limit_s: float = 5.0,
) -> Answer:
    """Send one request to 127.0.0.1:`port`; a failure to get an answer is an answer of 0."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=time_limit_s)
    body = None if document is None else json.dumps(document)
    sent = dict(headers or {})
    if body is not None:
        sent["Content-Type"] = "application/json"
    # A limit on each read would let a trickle of bytes go on for ever.
    alarm: threading.Timer | None = None
    late = threading.Event()
    try:
        connection.connect()
        alarm = threading.Timer(time_limit_s, _hang_up, (connection.sock, late))
        alarm.start()
        connection.request(method, path, body=body, headers=sent)
        response = connection.getresponse()
        text = response.read(_BODY_LIMIT_BYTES).decode("utf-8", "replace")
        if late.is_set():
            return Answer(0, {}, f"no whole answer within {time_limit_s:g} s")
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, text)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Answer(0, {}, f"{type(error).__name__}: {error}")
    finally:
        if alarm is not None:
            alarm.cancel()
        connection.close()


def _hang_up(connected: socket.socket, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)
