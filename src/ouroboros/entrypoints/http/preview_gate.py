"""Asked by the router for each request to a protected preview: may it be let through?

It stands before everything else of the API: it knows slots and their passwords and nothing more,
so previews are guarded, and open to those who may, also while PostgreSQL is away. What it answers
to a stranger comes from here alone, nothing of the application.
"""

import html
import json
import time
from http.cookies import CookieError, SimpleCookie

from anyio.to_thread import run_sync
from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ouroboros.adapters.preview_passwords import preview_password
from ouroboros.domain.errors import PreviewError
from ouroboros.domain.preview_pass import (
    COOKIE,
    GATE,
    HEADER,
    PASS_TTL_S,
    SIGN_IN,
    is_pass,
    is_same,
    local_target,
    make_pass,
)
from ouroboros.domain.slot import Slot
from ouroboros.entrypoints.http.bodies import form_of, read_body
from ouroboros.settings import Settings

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
    "Vary": f"Cookie, {HEADER}",
}
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Protected preview</title>
<meta name="viewport" content="width=device-width">
<style>body{{font:16px system-ui;max-width:24rem;margin:20vh auto;padding:0 1rem}}
input,button{{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;margin-top:.5rem}}
</style>
<main><h1>Protected preview</h1><p role="status">{said}</p>
<form method="post" action="{action}"><input type="hidden" name="to" value="{to}">
<label>Password<input type="password" name="password" autocomplete="current-password" required
autofocus></label><button>Look at it</button></form></main></html>
"""
_ASKS = "Whoever runs this preview knows its password."
_WRONG = "This is not the password."


class PreviewGate:
    """Answers below `/preview-gate/`; everything else passes."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the router, or pass on what does not come from it."""
        if scope["type"] != "http" or not scope["path"].startswith(GATE):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except PreviewError as error:
            answer = Response(json.dumps(error.document()), error.http_status, _HEADERS)
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        name, _, rest = request.url.path.removeprefix(GATE).partition("/")
        slot = self._settings.pool.parse(name)
        password = await run_sync(preview_password, self._settings, slot)
        if rest == "sign-in" and request.method == "POST":
            return await _sign_in(request, slot, password)
        if rest or not _is_let_in(request, slot, password):
            return _refuse(request)
        return Response(status_code=204, headers={"Cache-Control": "no-store"})


async def _sign_in(request: Request, slot: Slot, password: str) -> Response:
    form = form_of(await read_body(request))
    target = local_target(form.get("to", "/"))
    if not is_same(form.get("password", "").strip(), password):
        return _page(_WRONG, target)
    answer = RedirectResponse(target, 303, headers=_HEADERS)
    answer.set_cookie(
        COOKIE,
        make_pass(slot, password, time.time()),
        max_age=PASS_TTL_S,
        path="/",
        secure=request.headers.get("x-forwarded-proto") == "https",
        httponly=True,
        samesite="lax",
    )
    return answer


def _is_let_in(request: Request, slot: Slot, password: str) -> bool:
    shown = request.headers.get(HEADER, "")
    if shown:
        return is_same(shown, password)
    now = time.time()
    return any(is_pass(slot, password, text, now) for text in _passes(request))


def _passes(request: Request) -> list[str]:
    """Every cookie of our name: an application may set one of a wider domain before it."""
    found = []
    for field in request.headers.getlist("cookie"):
        for part in field.split(";"):
            try:
                cookie = SimpleCookie(part.strip())
            except CookieError:
                continue
            found += [morsel.value for name, morsel in cookie.items() if name == COOKIE]
    return found


def _refuse(request: Request) -> Response:
    if "text/html" in request.headers.get("accept", ""):
        return _page(_ASKS, local_target(request.headers.get("x-forwarded-uri", "/")))
    document = {
        "ok": False,
        "error": "preview_protected",
        "message": "this preview asks for a password",
        "hint": f"send it as {HEADER}, or sign in with a browser",
    }
    return Response(json.dumps(document), 401, _HEADERS, "application/json")


def _page(said: str, target: str) -> HTMLResponse:
    text = _PAGE.format(said=said, action=SIGN_IN, to=html.escape(target, quote=True))
    return HTMLResponse(text, 401, _HEADERS)
