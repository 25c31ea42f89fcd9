"""What each route asks of whoever uses it, in one table, and the check every route passes.

A route that is not in the table needs the widest scope and admits no bound token, so a new one is
shut until somebody has thought about it; a test says so.
"""

from typing import Any

from fastapi import Request

from ouroboros.bootstrap import Installation
from ouroboros.domain.access import Principal, Rule, Scope, require, require_own
from ouroboros.domain.errors import PreviewError
from ouroboros.entrypoints.http.bodies import document_of

_NONE, _READ, _RUN, _OPERATE = Scope.NONE, Scope.READ, Scope.RUN, Scope.OPERATE
UNLISTED = Rule(_OPERATE)

_RULES: dict[str, Rule] = {
    # What everybody may see.
    "GET /health": Rule(_NONE, "anything"),
    "GET /static/{digest}/{name:path}": Rule(_NONE, "anything"),
    "GET /favicon.ico": Rule(_NONE, "anything"),
    "GET /sign-in": Rule(_NONE, "anything"),
    "POST /sign-in": Rule(_NONE, "anything"),
    "POST /sign-out": Rule(_NONE, "anything"),
    "GET /sign-in/oidc": Rule(_NONE, "anything"),
    "GET /sign-in/oidc/callback": Rule(_NONE, "anything"),
    # Git hosts, known by their signatures alone.
    "POST /api/webhooks/{git_host}": Rule(_NONE, "signature"),
    # Pages; a worker's token has no use for them.
    "GET /": Rule(_READ),
    "GET /docs": Rule(_READ),
    "GET /slots/{slot}": Rule(_READ),
    "GET /slots/{slot}/database": Rule(_READ),
    "GET /slots/{slot}/verify": Rule(_READ),
    "GET /publishes": Rule(_READ),
    "GET /publishes/{publish_id}": Rule(_READ),
    "GET /publishes/{publish_id}/artifacts/{name}": Rule(_READ),
    "GET /publishes/{publish_id}/compare/{other}": Rule(_READ),
    "GET /runs/{run_id}": Rule(_READ),
    "GET /databases": Rule(_READ),
    "GET /events": Rule(_READ),
    "GET /hosts": Rule(_READ),
    "GET /hosts/findings": Rule(_OPERATE),
    "GET /access": Rule(_OPERATE),
    "GET /actions/{action}": Rule(_READ),
    "POST /actions/{action}": Rule(_RUN),
    # The pool, as everybody who waits for a slot must see it.
    "GET /api/slots": Rule(_READ, "anything"),
    "GET /api/slots/contract": Rule(_READ, "anything"),
    "GET /api/databases/pool": Rule(_READ, "anything"),
    "GET /api/databases/sources": Rule(_READ, "anything"),
    "POST /api/databases/fingerprint": Rule(_RUN, "anything"),
    "GET /api/host/health-check": Rule(_READ),
    "GET /api/resets": Rule(_READ),
    # Runs, publishes, events.
    "GET /api/runs": Rule(_READ),
    "GET /api/runs/{run_id}": Rule(_READ, "path"),
    "GET /api/publishes": Rule(_READ, "query"),
    "GET /api/publishes/{publish_id}": Rule(_READ, "publish"),
    "GET /api/publishes/{publish_id}/log": Rule(_READ, "publish"),
    "GET /api/publishes/{publish_id}/made-of": Rule(_READ, "publish"),
    "GET /api/publishes/{publish_id}/pictures/{name}": Rule(_READ, "publish"),
    "GET /api/publishes/{publish_id}/compare/{other}": Rule(_READ, "publishes"),
    "GET /api/publishes/{publish_id}/compare/{other}/picture": Rule(_READ, "publishes"),
    "POST /api/publishes": Rule(_RUN, "body"),
    "POST /api/publishes/{publish_id}/cancel": Rule(_RUN, "publish"),
    "GET /api/events": Rule(_READ, "query"),
    "GET /api/events/stream": Rule(_READ, "query"),
    "GET /api/pull-requests": Rule(_READ),
    "POST /api/pull-requests/{run_id}/approve": Rule(_OPERATE),
    # Leases.
    "POST /api/slots/acquire": Rule(_RUN, "body"),
    "POST /api/slots/{slot}/heartbeat": Rule(_RUN, "body"),
    "POST /api/slots/{slot}/release": Rule(_RUN, "body"),
    "POST /api/queue/leave": Rule(_RUN, "body"),
    "POST /api/slots/reap-expired": Rule(_OPERATE),
    "POST /api/slots/{slot}/lock": Rule(_OPERATE),
    "POST /api/slots/{slot}/unlock": Rule(_OPERATE),
    # One slot's backend and database.
    "GET /api/slots/{slot}/backend": Rule(_READ, "slot"),
    "GET /api/slots/{slot}/backend/health": Rule(_READ, "slot"),
    "POST /api/slots/{slot}/backend/{verb}": Rule(_RUN, "slot"),
    "POST /api/slots/{slot}/migrate": Rule(_RUN, "slot"),
    "POST /api/slots/{slot}/screenshot": Rule(_RUN, "slot"),
    "GET /api/slots/{slot}/releases": Rule(_READ, "slot"),
    "POST /api/slots/{slot}/rollback": Rule(_RUN, "slot"),
    "POST /api/slots/{slot}/database/reset": Rule(_RUN, "slot"),
    "POST /api/slots/{slot}/database/snapshot": Rule(_RUN, "slot"),
    "POST /api/slots/{slot}/database/verify": Rule(_READ, "slot"),
    "POST /api/slots/{slot}/database/diff": Rule(_READ, "slot"),
    "GET /api/slots/{slot}/database/fingerprint": Rule(_READ, "slot"),
    "GET /api/slots/{slot}/database/url": Rule(_OPERATE),
    # The installation's own.
    "POST /api/databases/snapshots/{name}/archive": Rule(_OPERATE),
    "POST /api/databases/snapshots/{name}/delete": Rule(_OPERATE),
    "GET /metrics": Rule(_READ),
    "GET /api/doctor": Rule(_OPERATE),
    "POST /api/host/provision": Rule(_OPERATE),
    "POST /api/host/collect": Rule(_OPERATE),
    "GET /api/tokens": Rule(_OPERATE),
    "POST /api/tokens": Rule(_OPERATE),
    "POST /api/tokens/{token_id}/revoke": Rule(_OPERATE),
    "POST /api/sign-in-links": Rule(_OPERATE),
    "GET /api/audit": Rule(_OPERATE),
}


def rules() -> dict[str, Rule]:
    """The table: `METHOD path` to the rule."""
    return dict(_RULES)


def rule_of(method: str, path: str) -> Rule:
    """The rule of a route by its method and its path as it was declared."""
    return _RULES.get(f"{method} {path}", UNLISTED)


async def authorize(request: Request) -> None:
    """Let the request through or raise `sign_in_required`, `scope_missing` or `foreign_run`.

    A dependency of the whole application, so that no route is without it.
    """
    principal: Principal = request.state.principal
    request.state.route = path = request.scope["route"].path
    rule = rule_of(request.method, path)
    require(principal, rule)
    if principal.run_id is not None and rule.run not in ("anything", "nothing"):
        require_own(principal, rule, await _run_of(request, rule))
    else:
        require_own(principal, rule, None)


async def _run_of(request: Request, rule: Rule) -> str | None:
    """The run that a request is about, as its rule says where to look."""
    from anyio.to_thread import run_sync  # noqa: PLC0415  only bound tokens come here

    at: Installation = request.app.state.installation
    match rule.run:
        case "body":
            return _text(document_of(await request.body()), "run_id")
        case "query":
            return request.query_params.get("run_id")
        case "path":
            return str(request.path_params["run_id"])
        case "slot":
            return await run_sync(_holder, at, request.path_params["slot"])
        case "publish" | "publishes":
            names = ("publish_id", "other") if rule.run == "publishes" else ("publish_id",)
            named = [request.path_params[name] for name in names]
            return await run_sync(_run_of_publishes, at, named)
        case _:
            return None


def _text(document: dict[str, Any], key: str) -> str | None:
    value = document.get(key)
    return value if isinstance(value, str) else None


def _holder(at: Installation, slot: str) -> str | None:
    try:
        holder = at.slots.holder(at.settings.pool.parse(slot))
    except PreviewError:
        return None
    return holder[0] if holder else None


def _run_of_publishes(at: Installation, publish_ids: list[str]) -> str | None:
    """The one run that all of them are of; None when there is none."""
    try:
        runs = {str(at.publishes.get(publish_id)["run_id"]) for publish_id in publish_ids}
    except PreviewError:
        return None
    return runs.pop() if len(runs) == 1 else None
