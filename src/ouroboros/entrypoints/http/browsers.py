"""What a request tells of the browser that sent it, and what a stranger's page may not make it do.

Pure questions to one request, apart from the gate that asks them.
"""

import hmac
from hashlib import sha256
from urllib.parse import urlsplit

from fastapi import Request

from ouroboros.domain.errors import BadInput, Denied
from ouroboros.entrypoints.http.methods import takes

SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
"""RFC 9110, 9.2.1."""
_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"


def refuse_foreign_pages(request: Request) -> None:
    """Refuse what a page of somebody else's, such as a branch's, makes a browser send.

    A browser tells who asks (Fetch metadata, Origin), and sends no JSON across origins without
    asking first. A form of ours carries a token of its session instead of JSON.
    """
    if request.method in SAFE:
        return
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    foreign = origin is not None and _host_of(origin) != request.headers.get("host")
    if site not in ("same-origin", "none") or foreign:
        raise Denied("foreign_origin", "another site's page may not do this")
    if request.method != "POST" or not takes(request, "POST"):
        return  # nothing here takes it, and the router says so
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    form = media_type == _FORM and not request.url.path.startswith("/api/")
    if media_type != _JSON and not form:
        raise BadInput("json_required", "send Content-Type: application/json")


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # a bracket without its other half
        return None


def require_form_token(request: Request, session: str) -> None:
    """Raise `form_token_missing` unless a session's unsafe request of JSON proves its page.

    A form's own field is checked where the form is read.
    """
    if request.method in SAFE or not request.url.path.startswith("/api/"):
        return
    shown = request.headers.get("x-form-token", "")
    if not hmac.compare_digest(shown.encode(), form_token(session).encode()):
        raise Denied("form_token_missing", "a browser's request needs the token of its page")


def form_token(session: str) -> str:
    """What a form of this session carries, which a page elsewhere cannot know."""
    return sha256(f"form of {session}".encode()).hexdigest()


def is_socket(request: Request) -> bool:
    """Whether the request came over the installation's unix socket."""
    server = request.scope.get("server")
    return server is not None and server[1] is None


def is_browser(request: Request) -> bool:
    """Whether a browser sent it; every present one says where a request comes from."""
    return "sec-fetch-site" in request.headers or "origin" in request.headers


def is_https(request: Request) -> bool:
    """Whether the browser sees https: said by the router in front, which overwrites the field."""
    return request.headers.get("x-forwarded-proto") == "https"


def cookie_name(request: Request) -> str:
    """The session's cookie. With https its prefix binds it to this very host (RFC 6265bis)."""
    return "__Host-ouroboros" if is_https(request) else "ouroboros"
