"""Signing in by the team's own provider: there, and back with an answer.

Both are GETs, because a provider sends people by links. The first changes nothing here: what it
began with is in a cookie of this browser, which the second wants to see.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import asdict

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from ouroboros.domain.errors import NotFound
from ouroboros.domain.team import CALLBACK_PATH
from ouroboros.entrypoints.http.browsers import is_https
from ouroboros.entrypoints.http.dependencies import At
from ouroboros.entrypoints.http.pages.rendering import show
from ouroboros.entrypoints.http.pages.sign_in import keep_session
from ouroboros.services.access.by_provider import TeamSignIn

router = APIRouter()

_PATIENCE_S = 900
_KEPT = ("state", "nonce", "verifier")


@router.get("/sign-in/oidc")
def leave_for_provider(request: Request, at: At) -> Response:
    """Send the browser to the provider; raises `oidc_not_configured`."""
    begun = asdict(_team(at).begin(_dashboard(request, at)))
    answer = RedirectResponse(begun["address"], 303, headers={"Cache-Control": "no-store"})
    kept = json.dumps({key: begun[key] for key in _KEPT})
    answer.set_cookie(
        _cookie(request),
        urlsafe_b64encode(kept.encode()).decode(),
        max_age=_PATIENCE_S,
        path="/",
        secure=is_https(request),
        httponly=True,
        samesite="lax",  # it must come along when the provider sends the browser back
    )
    return answer


@router.get(CALLBACK_PATH)
def come_back(request: Request, at: At) -> Response:
    """Make a session of the provider's answer."""
    made = _team(at).finish(request.query_params, _begun(request), _dashboard(request, at))
    page = show(request, "signed_in.html", title="Signed in", live=False)
    page.headers["Cache-Control"] = "no-store"
    # Not a redirect: a strict cookie is not sent on the way from another site, and this is one.
    page.headers["Refresh"] = "0; url=/"
    keep_session(request, page, made)
    page.delete_cookie(_cookie(request), path="/", secure=is_https(request), httponly=True)
    return page


def _team(at: At) -> TeamSignIn:
    if at.team is None:
        raise NotFound(
            "oidc_not_configured", "no identity provider is configured", "docs/access.md"
        )
    return at.team


def _begun(request: Request) -> dict[str, str]:
    """What this browser has kept; nothing when it has kept nothing, or nonsense."""
    try:
        found = json.loads(urlsafe_b64decode(request.cookies.get(_cookie(request), "")))
        return {key: str(found[key]) for key in _KEPT}
    except (NotBase64, ValueError, TypeError, KeyError):
        return {}


def _cookie(request: Request) -> str:
    return "__Host-ouroboros-sign-in" if is_https(request) else "ouroboros-sign-in"


def _dashboard(request: Request, at: At) -> str:
    return at.settings.dashboard_url(secure=is_https(request))
