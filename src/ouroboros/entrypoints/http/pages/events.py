"""The page of events: everything that happened, page by page."""

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from ouroboros.adapters.control.events import EventFilter
from ouroboros.domain.identifiers import parse_run_id
from ouroboros.entrypoints.http.dependencies import At
from ouroboros.entrypoints.http.pages.rendering import show

router = APIRouter()

_PAGE = 50


@router.get("/events")
def all_events(
    request: Request,
    at: At,
    slot: str = "",
    run_id: str = "",
    before: int | None = Query(None, ge=0, le=(1 << 63) - 1),
) -> HTMLResponse:
    """The newest first; of one slot or one run when asked."""
    wanted = EventFilter(
        at.settings.pool.parse(slot).id if slot else None,
        parse_run_id(run_id) if run_id else None,
    )
    found = at.events.newest(wanted, _PAGE, before)
    return show(
        request,
        "events.html",
        title="Events",
        here="/events",
        live=before is None,
        events=found,
        wanted=wanted,
        slots=[each.id for each in at.settings.pool],
        next_before=found[-1]["id"] if len(found) == _PAGE else None,
    )
