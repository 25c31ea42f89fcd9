"""Events: the list, page by page, and the stream of what happens now."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import StreamingResponse

from ouroboros.adapters.control.events import EventFilter
from ouroboros.domain.identifiers import parse_run_id
from ouroboros.entrypoints.http.admission import Admission
from ouroboros.entrypoints.http.dependencies import At
from ouroboros.entrypoints.http.news import News

router = APIRouter(prefix="/api/events", tags=["events"])

_LARGEST_ID = (1 << 63) - 1


def wanted_events(
    at: At, slot: str | None = None, run_id: str | None = None, publish_id: str | None = None
) -> EventFilter:
    """The events that a request asks for; raises `invalid_slot`, `invalid_run_id`."""
    return EventFilter(
        at.settings.pool.parse(slot).id if slot else None,
        parse_run_id(run_id) if run_id else None,
        publish_id or None,
    )


Wanted = Annotated[EventFilter, Depends(wanted_events)]


@router.get("")
def list_events(
    at: At,
    wanted: Wanted,
    limit: int = Query(50, ge=1, le=500),
    before: int | None = Query(None, ge=0, le=_LARGEST_ID, description="ids below this one"),
) -> dict[str, Any]:
    """What happened, newest first; `next_before` is where the next page begins."""
    found = at.events.newest(wanted, limit, before)
    return {
        "ok": True,
        "events": found,
        "next_before": found[-1]["id"] if len(found) == limit else None,
    }


@router.get("/stream", response_class=StreamingResponse)
async def stream(
    request: Request,
    wanted: Wanted,
    last_event_id: Annotated[int | None, Header(ge=0, le=_LARGEST_ID)] = None,
) -> StreamingResponse:
    """Server-sent events: `event` (a row, with its id), `publish` and `slots` (look again).

    With `Last-Event-ID` it begins with what was missed. It ends with the connection, soon after the
    token or session it was opened with, and when its reader is too slow.
    """
    news: News = request.app.state.news
    frames: AsyncIterator[bytes] = news.follow(wanted, last_event_id, Admission(request))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(frames, media_type="text/event-stream", headers=headers)
