"""Two publishes side by side, with the region marked in which they look different."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ouroboros.domain.errors import PreviewError
from ouroboros.entrypoints.http.dependencies import At
from ouroboros.entrypoints.http.pages.rendering import show

router = APIRouter()


@router.get("/publishes/{publish_id}/compare/{other}")
def comparison(
    request: Request, at: At, publish_id: str, other: str, page: str | None = None
) -> HTMLResponse:
    """Compare the pictures of two publishes; says why when there is nothing to compare."""
    found: dict[str, Any] | None = None
    error: PreviewError | None = None
    at.publishes.get(publish_id)
    at.publishes.get(other)
    try:
        found, _ = at.comparison.compare(publish_id, other, page)
    except PreviewError as trouble:
        error = trouble
    return show(
        request,
        "comparison.html",
        title=f"{publish_id} and {other}",
        here="/publishes",
        live=False,
        status=200 if error is None else error.http_status,
        before=publish_id,
        after=other,
        found=found,
        error=error,
    )
