"""Signing in by a one-time link or a token, and out again.

The link is used by the button and not by opening it: a GET changes nothing, and a chat that looks
at links beforehand would use it up.
"""

from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from ouroboros.adapters.control.tokens import Made
from ouroboros.domain.access import Kind, Principal
from ouroboros.entrypoints.http.bodies import form_of
from ouroboros.entrypoints.http.browsers import cookie_name, is_https
from ouroboros.entrypoints.http.dependencies import At
from ouroboros.entrypoints.http.pages.rendering import show
from ouroboros.services.access.tokens import SESSION_TTL_S

router = APIRouter()

_SHARED = ("localhost", "127.0.0.1", "::1")
"""Names that previews are reached by, too: no cookie is set for them."""


@router.get("/sign-in")
def ask(request: Request, at: At, link: str = "") -> Response:
    """The form; on the dashboard's own host name, whose cookies no preview sees."""
    if request.url.hostname in _SHARED and at.settings.local:
        port = f":{request.url.port}" if request.url.port else ""
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"http://ouroboros.localhost{port}/sign-in{query}", 307)
    provider = urlsplit(at.settings.team.issuer).hostname if at.settings.team else None
    page: HTMLResponse = show(
        request, "sign_in.html", title="Sign in", live=False, link=link, provider=provider
    )
    page.headers["Cache-Control"] = "no-store"
    return page


@router.post("/sign-in")
async def enter(request: Request, at: At) -> Response:
    """Exchange the link or the token for a session."""
    form = form_of(await request.body())
    made = at.tokens.sign_in(form.get("secret", "").strip())
    answer = RedirectResponse("/", 303, headers={"Cache-Control": "no-store"})
    keep_session(request, answer, made)
    return answer


def keep_session(request: Request, answer: Response, made: Made) -> None:
    """Give a new session to the browser."""
    answer.set_cookie(
        cookie_name(request),
        made.text,
        max_age=SESSION_TTL_S,
        path="/",
        secure=is_https(request),
        httponly=True,
        # On plain http a host's cookies go to all of its ports, so no link elsewhere sends it.
        samesite="lax" if is_https(request) else "strict",
    )


@router.post("/sign-out")
def leave(request: Request, at: At) -> Response:
    """End the session."""
    principal: Principal = request.state.principal
    if principal.kind is Kind.SESSION and principal.secret_id is not None:
        at.tokens.store.end_session(principal.secret_id)
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(cookie_name(request), path="/", secure=is_https(request), httponly=True)
    return answer
