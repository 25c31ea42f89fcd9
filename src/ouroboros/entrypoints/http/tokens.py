"""Tokens, sign-in links and the audit log, for those who operate the installation."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import ConfigDict, Field

from ouroboros.domain.access import Principal
from ouroboros.entrypoints.http.asked import Asked
from ouroboros.entrypoints.http.browsers import is_https
from ouroboros.entrypoints.http.dependencies import At

router = APIRouter(prefix="/api", tags=["access"])

_DAYS_S = 86400


def principal_of(request: Request) -> Principal:
    """Who asks."""
    found: Principal = request.state.principal
    return found


Asking = Annotated[Principal, Depends(principal_of)]


class TokenRequest(Asked):
    """What a new token may do, for how long, and for which run."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "worker of run 42", "scope": "run", "run_id": "run-42"}]
        },
    )

    name: str = Field(min_length=1, max_length=80)
    scope: Literal["read", "run", "operate"] = "read"
    run_id: str | None = Field(None, description="binds the token to this run")
    ttl_s: int = Field(90 * _DAYS_S, ge=60, le=366 * _DAYS_S, description="seconds")


@router.get("/tokens")
def list_tokens(at: At) -> dict[str, Any]:
    """Every token, newest first, also ended ones; never a secret."""
    return {"ok": True, "tokens": at.tokens.list()}


@router.post("/tokens", status_code=201)
def create_token(at: At, by: Asking, asked: TokenRequest, response: Response) -> dict[str, Any]:
    """Make a token; `token` is its text, shown this once."""
    made = at.tokens.create(asked.name, asked.scope, asked.run_id, asked.ttl_s, by)
    response.headers["Cache-Control"] = "no-store"
    return {"ok": True, "token": made.text, **made.row}


@router.post("/tokens/{token_id}/revoke")
def revoke_token(at: At, token_id: str) -> dict[str, Any]:
    """End a token; no error when it has ended. 404 `token_not_found`."""
    return {"ok": True, "revoked": True, **at.tokens.revoke(token_id)}


@router.post("/sign-in-links", status_code=201)
def create_link(at: At, by: Asking, request: Request, response: Response) -> dict[str, Any]:
    """Make a link that signs an administrator in, once, within 15 minutes."""
    made = at.tokens.make_link("administrator", by)
    response.headers["Cache-Control"] = "no-store"
    return {
        "ok": True,
        "link": f"{dashboard_address(at, request)}/sign-in?link={made.text}",
        "expires_at": made.row["expires_at"],
    }


@router.get("/audit")
def list_deeds(
    at: At,
    limit: int = Query(50, ge=1, le=500),
    before: int | None = Query(None, ge=0, le=(1 << 63) - 1, description="ids below this one"),
) -> dict[str, Any]:
    """Who did what, newest first; `next_before` is where the next page begins."""
    found = at.audit.list(limit, before)
    return {
        "ok": True,
        "deeds": found,
        "next_before": found[-1]["id"] if len(found) == limit else None,
    }


def dashboard_address(at: At, request: Request) -> str:
    """Where people find the dashboard, by the scheme that they have come with."""
    return at.settings.dashboard_url(secure=is_https(request))
