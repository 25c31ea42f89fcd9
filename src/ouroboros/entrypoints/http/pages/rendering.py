"""A page becomes an answer: templates, the words in them, and the policy every page is under.

Whatever a branch, a log or a person put into a name is text: Jinja escapes all of it, and the
policy would not run a script that got through.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from ouroboros import __version__
from ouroboros.domain.access import NOBODY, Kind
from ouroboros.entrypoints.http.browsers import cookie_name, form_token
from ouroboros.entrypoints.http.pages.words import FILTERS

_HERE = Path(__file__).resolve().parents[1]
STATIC = _HERE / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
NAVIGATION = (
    ("/", "Slots"),
    ("/publishes", "Publishes"),
    ("/databases", "Databases"),
    ("/events", "Events"),
    ("/hosts", "Hosts"),
    ("/access", "Access"),
)
_STREAM = "/api/events/stream"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    made.filters.update(FILTERS)
    made.globals.update(asset=_asset, version=__version__, navigation=NAVIGATION)
    return made


def show(
    request: Request,
    template: str,
    *,
    title: str,
    here: str = "",
    live: bool = True,
    status: int = 200,
    **shown: Any,
) -> HTMLResponse:
    """Answer with a page; `here` is its place in the navigation.

    A live page asks for itself again when something happens.
    """
    query = f"?{request.url.query}" if request.url.query else ""
    principal = getattr(request.state, "principal", NOBODY)
    session = request.cookies.get(cookie_name(request), "")
    text = (
        _environment()
        .get_template(template)
        .render(
            title=title,
            here=here,
            stream=_STREAM if live else None,
            address=request.url.path + query,
            who=principal.name if principal.kind is Kind.SESSION else "",
            signed_in=principal.kind is Kind.SESSION,
            form_token=form_token(session),
            **shown,
        )
    )
    return HTMLResponse(text, status, headers=HEADERS)


@cache
def present() -> str:
    """A short name for the present content of all static files."""
    every = sorted(path for path in STATIC.rglob("*") if path.is_file())
    whole = hashlib.sha256(b"".join(path.read_bytes() for path in every))
    return whole.hexdigest()[:12]


def _asset(name: str) -> str:
    return f"/static/{present()}/{name}"
