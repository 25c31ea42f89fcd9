"""The page of access: the tokens there are, and who did what."""

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from ouroboros.entrypoints.http.dependencies import At
from ouroboros.entrypoints.http.pages.rendering import show

router = APIRouter()


@router.get("/access")
def access(
    request: Request, at: At, before: int | None = Query(None, ge=0, le=(1 << 63) - 1)
) -> HTMLResponse:
    """Tokens, and the audit log page by page."""
    deeds = at.audit.list(50, before)
    return show(
        request,
        "access.html",
        title="Access",
        here="/access",
        live=before is None,
        tokens=at.tokens.list(),
        deeds=deeds,
        next_before=deeds[-1]["id"] if len(deeds) == 50 else None,
    )
