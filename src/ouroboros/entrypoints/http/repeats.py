"""Requests that come again: idempotency keys on POST, entity tags on GET, HEAD for every GET.

One place between the gate and the routes that looks at whole answers; streams pass untouched.
"""

from collections.abc import MutableMapping
from hashlib import sha256
from typing import Any

from anyio.to_thread import run_sync
from fastapi import Request, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ouroboros.adapters.control.answers import AnswerStore, KeptAnswer
from ouroboros.domain.access import Principal
from ouroboros.domain.errors import BadInput, PreviewError
from ouroboros.entrypoints.http.bodies import read_body, replay
from ouroboros.entrypoints.http.problems import answer_error

_WHOLE = ("application/json", "text/html")
_KEY_LENGTH = 200


class Repeats:
    """Answers what was answered before without doing it again."""

    def __init__(self, app: ASGIApp, answers: AnswerStore) -> None:
        self._app = app
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it from what is known."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] in ("GET", "HEAD"):
            await self._read(scope, receive, send)
        elif scope["method"] == "POST":
            await self._act(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET with an entity tag (RFC 9110, 8.8.3 and 13.1.2); HEAD is a GET without its body."""
        asked = Headers(scope=scope).get("if-none-match", "")
        await self._app({**scope, "method": "GET"}, receive, _Tagging(scope, asked, send).send)

    async def _act(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            body = await read_body(request)
            key = _key_of(request)
            if key is None:
                await self._app(scope, replay(body, receive), send)
                return
            principal: Principal = request.state.principal
            who = principal.secret_id or f"{principal.kind}"
            digest = sha256(f"{scope['method']} {scope['path']}\n".encode() + body).digest()
            kept = await run_sync(self._answers.begin, who, key, digest)
        except PreviewError as error:
            await answer_error(request, error)(scope, receive, send)
            return
        if kept is not None:
            headers = {"Idempotency-Replayed": "true"}
            again = Response(kept.body, kept.status, headers, kept.media_type)
            await again(scope, receive, send)
            return
        await self._first(scope, replay(body, receive), send, (who, key))

    async def _first(
        self, scope: Scope, receive: Receive, send: Send, claim: tuple[str, str]
    ) -> None:
        """Do it, and keep the answer if it was done; a failure may be tried again."""
        seen = _Copy(send)
        done = False
        try:
            await self._app(scope, receive, seen.send)
            if seen.worth_keeping:
                kept = KeptAnswer(seen.status, seen.media_type, bytes(seen.body))
                await run_sync(self._answers.keep, *claim, kept)
                done = True
        finally:
            if not done:
                await run_sync(self._answers.drop, *claim)


class _Copy:
    """Sends an answer on and keeps a copy."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.media_type = ""
        self.body = bytearray()
        self._secret = False

    @property
    def worth_keeping(self) -> bool:
        """Whether it was done, and holds no secret: those are told once."""
        waits = self.status == 202 and b'"ok":false' in self.body.replace(b" ", b"")
        return 200 <= self.status < 400 and not self._secret and not waits

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = Headers(raw=message["headers"])
            self.status = message["status"]
            self.media_type = headers.get("content-type", "application/json")
            self._secret = "no-store" in headers.get("cache-control", "")
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
        await self._send(message)


class _Tagging:
    """Holds a whole answer back until its tag is known; lets streams through."""

    def __init__(self, scope: Scope, asked: str, send: Send) -> None:
        self._head_only = scope["method"] == "HEAD"
        self._asked = [tag.strip().removeprefix("W/") for tag in asked.split(",")]
        self._send = send
        self._start: MutableMapping[str, Any] | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            media_type = Headers(raw=message["headers"]).get("content-type", "").split(";")[0]
            if message["status"] == 200 and media_type in _WHOLE:
                self._start = message
                return
        elif message["type"] == "http.response.body" and self._start is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self._finish(self._start, bytes(self._body))
            return
        elif message["type"] == "http.response.body" and self._head_only:
            message = {**message, "body": b""}
        await self._send(message)

    async def _finish(self, start: MutableMapping[str, Any], body: bytes) -> None:
        tag = f'"{sha256(body).hexdigest()[:32]}"'
        headers = MutableHeaders(raw=list(start["headers"]))
        headers["ETag"] = tag
        headers.setdefault("Cache-Control", "no-cache")
        if tag in self._asked:
            start["status"], body = 304, b""
            del headers["content-length"]
        start["headers"] = headers.raw
        await self._send(start)
        await self._send({"type": "http.response.body", "body": b"" if self._head_only else body})


def _key_of(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is None or not request.state.principal.scope:
        return None
    if not (1 <= len(key) <= _KEY_LENGTH and key.isascii() and key.isprintable()):
        raise BadInput(
            "invalid_idempotency_key", "an Idempotency-Key has 1 to 200 printable characters"
        )
    return key
