"""Actions: each a page that says what it will do, and a button that does it.

With a script the page opens in a dialog; without one it is a page. A form carries the token of its
session; whatever it does is one call of a service, the same that the API makes.
"""

import hmac
from functools import partial
from typing import Any
from urllib.parse import quote

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from ouroboros.bootstrap import Installation
from ouroboros.domain.access import Principal, Rule, require
from ouroboros.domain.errors import Denied, NotFound, PreviewError
from ouroboros.entrypoints.http.bodies import form_of
from ouroboros.entrypoints.http.browsers import cookie_name, form_token
from ouroboros.entrypoints.http.dependencies import At, waiting
from ouroboros.entrypoints.http.pages.action import Action, Subject
from ouroboros.entrypoints.http.pages.action_list import ACTIONS
from ouroboros.entrypoints.http.pages.rendering import show

router = APIRouter()


@router.get("/actions/{action}")
def ask(request: Request, at: At, action: str) -> HTMLResponse:
    """What the action will do, with its fields and its button."""
    chosen = _chosen(action)
    subject = _subject(at, dict(request.query_params))
    return _page(request, chosen, subject, dict(request.query_params))


@router.post("/actions/{action}")
async def act(request: Request, at: At, action: str) -> Response:
    """Do it and go where its result is seen; a failure is told on the same page."""
    chosen = _chosen(action)
    principal: Principal = request.state.principal
    require(principal, Rule(chosen.scope))
    form = form_of(await request.body())
    _require_form_token(request, form)
    subject = await run_sync(_subject, at, form)
    try:
        where = await waiting(partial(chosen.do, at, subject, form, principal))
    except PreviewError as error:
        return _page(request, chosen, subject, form, error=error)
    return RedirectResponse(where, 303)


def _chosen(name: str) -> Action:
    found = ACTIONS.get(name)
    if found is None:
        raise NotFound("action_not_found", f"there is no action {name[:40]!r}")
    return found


def _subject(at: Installation, asked: dict[str, str]) -> Subject:
    """What the action is about: a slot with who holds it, a publish, or nothing."""
    slot: dict[str, Any] | None = None
    publish: dict[str, Any] | None = None
    if asked.get("publish"):
        publish = at.publishes.get(asked["publish"])
    if asked.get("slot"):
        slot = at.slots.get(at.settings.pool.parse(asked["slot"]))
    elif publish is not None:
        slot = at.slots.get(at.settings.pool.parse(publish["slot_id"]))
    return Subject(slot, publish, asked.get("run_id", ""), asked.get("token_id", ""))


def _page(
    request: Request,
    action: Action,
    subject: Subject,
    values: dict[str, str],
    *,
    error: PreviewError | None = None,
) -> HTMLResponse:
    at: Installation = request.app.state.installation
    hidden = {
        name: values[name] for name in ("slot", "publish", "run_id", "token_id") if values.get(name)
    }
    return show(
        request,
        "action.html",
        title=action.title,
        live=False,
        status=error.http_status if error else 200,
        action=action,
        where=f"/actions/{quote(action.name)}",
        consequences=action.consequences(at, subject),
        fields=action.fields(at, subject),
        values=values,
        hidden=hidden,
        subject=subject,
        error=error,
    )


def _require_form_token(request: Request, form: dict[str, str]) -> None:
    session = request.cookies.get(cookie_name(request), "")
    shown = form.get("form_token", "")
    if not hmac.compare_digest(shown.encode(), form_token(session).encode()):
        raise Denied(
            "form_token_missing", "this form is not of your session", "open the page again"
        )
