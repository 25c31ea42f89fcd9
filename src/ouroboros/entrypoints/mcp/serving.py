"""`ouroboros mcp --http`: the tools over the protocol's streamable HTTP, at `/mcp`.

Whoever calls shows a token of the API, and every tool asks the API with that token and no other:
what it may do is decided there, in one place. Nobody is let in without one, not even from this
machine: the API trusts the socket that this server uses, and a caller must not inherit that.
Requests stand alone (no sessions), so none can be continued by another caller.
"""

import contextlib
import errno
import json
import os
import socket
import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from hashlib import sha256

import uvicorn
from anyio.to_thread import current_default_thread_limiter, run_sync
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ouroboros.client import Client
from ouroboros.domain.errors import Failed, PreviewError, SignInRequired
from ouroboros.entrypoints.cli.connect import client_with
from ouroboros.entrypoints.mcp.server import make_server

PATH = "/mcp"
_LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_KNOWN_FOR_S = 10.0
"""For so long a token is not asked for again; the API asks at every tool call anyway."""
_MOST_KNOWN = 1000
_THREADS = 200  # an agent that waits for a publish holds one

_token: ContextVar[str] = ContextVar("token")


def serve_http(host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; prints the address. Raises `address_not_usable`."""
    listener = _listen(host, port)
    address = listener.getsockname()
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    print(json.dumps({"ok": True, "command": "mcp", "url": f"http://{shown}:{address[1]}{PATH}"}),
          flush=True)  # fmt: skip
    config = uvicorn.Config(
        make_http_app(client_with, local=_is_loopback(host)),
        log_level="warning",
        server_header=False,
        proxy_headers=False,
    )
    uvicorn.Server(config).run(sockets=[listener])


def make_http_app(client_of: Callable[[str], Client], *, local: bool) -> ASGIApp:
    """The application; `client_of` makes a client of the control plane that shows a token.

    `local`: it listens on this machine alone, so only names of this machine can be meant.
    """
    server = make_server(lambda: client_of(_token.get()))
    names = [f"{name}:*" for name in _LOCAL_HOSTS]
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        stateless_http=True,
        json_response=True,  # a picture is larger than what clients take as one event
        transport_security=TransportSecuritySettings(
            enable_dns_rebinding_protection=local,
            allowed_hosts=[*_LOCAL_HOSTS, *names],
            allowed_origins=[f"http://{name}" for name in names],
        ),
    )
    return TokenGate(app, client_of)


class TokenGate:
    """Lets those in who show a token that the control plane knows."""

    def __init__(self, app: ASGIApp, client_of: Callable[[str], Client]) -> None:
        self._app = app
        self._client_of = client_of
        self._known: dict[bytes, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its token, or refuse it."""
        if scope["type"] != "http":
            current_default_thread_limiter().total_tokens = _THREADS
            await self._app(scope, receive, send)
            return
        kind, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        try:
            if kind.lower() != "bearer" or not token.strip():
                raise SignInRequired(
                    "token_missing",
                    "callers show a token of the API: Authorization: Bearer TOKEN",
                    "ouroboros token create --name agent --scope run",
                )
            await self._require_known(token.strip())
        except PreviewError as error:
            headers = {"WWW-Authenticate": "Bearer"} if error.http_status == 401 else {}
            refusal = JSONResponse(error.document(), error.http_status, headers)
            await refusal(scope, receive, send)
            return
        before = _token.set(token.strip())
        try:
            await self._app(scope, receive, send)
        finally:
            _token.reset(before)

    async def _require_known(self, token: str) -> None:
        digest, now = sha256(token.encode("utf-8", "replace")).digest(), time.monotonic()
        if self._known.get(digest, 0.0) > now:
            return
        await run_sync(partial(self._client_of(token).get, "/api/slots/contract"))
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[digest] = now + _KNOWN_FOR_S


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
        listener.listen(128)
    except OSError as error:
        with contextlib.suppress(OSError):
            listener.close()
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        hint = "choose another --port" if error.errno == errno.EADDRINUSE else "check --host"
        raise Failed("address_not_usable", f"{host}:{port}: {why}", hint) from error
    return listener


def _is_loopback(host: str) -> bool:
    return host.strip("[]") in ("127.0.0.1", "::1", "localhost")
