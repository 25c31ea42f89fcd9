"""Databases: the seeds and snapshots there are, the standbys, and every reset."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ouroboros.entrypoints.http.dependencies import At
from ouroboros.entrypoints.http.pages.rendering import show

router = APIRouter()


@router.get("/databases")
def all_databases(request: Request, at: At) -> HTMLResponse:
    """What a slot can be reset to, what is kept ready, and what was reset."""
    return show(
        request,
        "databases.html",
        title="Databases",
        here="/databases",
        pool=at.databases.pool(),
        sources=at.databases.sources(),
        resets=at.slots.resets(None, 30),
    )
