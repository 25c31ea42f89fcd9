"""What a publish prints, in parts or while it is printed, and what it was made of."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from ouroboros.adapters.control.listener import ChangeListener
from ouroboros.adapters.control.output import OUTPUT_CHANNEL
from ouroboros.adapters.control.publishes import PUBLISHES_CHANNEL
from ouroboros.domain.errors import BadInput, NotFound, PreviewError
from ouroboros.domain.publish import StepName
from ouroboros.domain.terminal_text import without_colours
from ouroboros.entrypoints.http.admission import Admission
from ouroboros.entrypoints.http.dependencies import At
from ouroboros.services.publish.made_of import read_made_of

router = APIRouter(prefix="/api/publishes", tags=["publishes"])

_LOOK_EVERY_S = 5.0
_BUILD = "build"
"""Names the two steps in which branch code is built."""

Read = Callable[[int], tuple[Any, list[dict[str, Any]]]]


@router.get("/{publish_id}/made-of")
def made_of(at: At, publish_id: str) -> dict[str, Any]:
    """What a publish was made of and each built file's digest; raises `nothing_recorded`."""
    at.publishes.get(publish_id)
    return {"ok": True, **read_made_of(at.layout.artifacts(publish_id), publish_id)}


@router.get("/{publish_id}/log", response_model=None)
async def read_output(
    request: Request,
    at: At,
    publish_id: str,
    *,
    offset: int = Query(0, ge=0),
    step: str | None = None,
    follow: str | None = None,
    colours: bool = False,
    last_event_id: Annotated[str | None, Header()] = None,
) -> dict[str, Any] | StreamingResponse:
    """A part of the log after an offset; `next_offset` is where the next part begins.

    With `follow` a stream of server-sent events instead, each with its offset as id: `output`
    (`step`, `at`, `text` with its colours), at last `end` (`state`). `Last-Event-ID` resumes.
    Raises `publish_not_found`, `step_not_found`, `invalid_event_id`.
    """
    steps = _parse_step(step)

    def read(after: int) -> tuple[Any, list[dict[str, Any]]]:
        return at.output.read(publish_id, after, steps)

    if follow is not None and follow != "false":
        after = max(offset, _parse_event_id(last_event_id))
        await run_sync(read, after)  # what is wrong is told before the stream begins
        return StreamingResponse(
            _events(request, read, publish_id, after),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
    _, rows = await run_sync(read, offset)
    text = "".join(row["chunk"] for row in rows)
    return {
        "ok": True,
        "publish_id": publish_id,
        "offset": offset,
        "next_offset": rows[-1]["seq"] if rows else offset,
        "text": text if colours else without_colours(text),
    }


async def _events(request: Request, read: Read, publish_id: str, after: int) -> AsyncIterator[str]:
    """The stream; it ends with the publish, this process, the reader or its admission."""
    changes: ChangeListener = request.app.state.publish_changes
    closing: asyncio.Event = request.app.state.closing
    admission = Admission(request)
    loop, changed = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(changed.set)

    yield "retry: 1000\n\n"
    with (
        changes.calling(OUTPUT_CHANNEL, publish_id, wake),
        changes.calling(PUBLISHES_CHANNEL, publish_id, wake),
    ):
        while not closing.is_set() and await admission.holds():
            changed.clear()
            try:
                state, rows = await run_sync(read, after)
            except PreviewError:  # PostgreSQL is away: the reader keeps its place
                state, rows = None, []
            for row in rows:
                after = row["seq"]
                part = {"step": row["step"], "at": row["at"].isoformat(), "text": row["chunk"]}
                yield _event("output", after, part)
            if state is not None and state.is_final and not rows:
                yield _event("end", after, {"state": state})
                return
            if not rows:
                yield ": \n\n" if not await _wait(changed, closing) else ""


async def _wait(changed: asyncio.Event, closing: asyncio.Event) -> bool:
    """Wait for a change or the end of this process; False when neither came in time."""
    waiting = [asyncio.ensure_future(event.wait()) for event in (changed, closing)]
    try:
        done, _ = await asyncio.wait(
            waiting, timeout=_LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        for each in waiting:
            each.cancel()
    return bool(done)


def _event(kind: str, number: int, document: Mapping[str, Any]) -> str:
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(document)}\n\n"


def _parse_step(step: str | None) -> Sequence[str] | None:
    if step is None:
        return None
    if step == _BUILD:
        return (StepName.FRONTEND, StepName.BACKEND)
    if step in list(StepName):
        return (step,)
    known = ", ".join((*StepName, _BUILD))
    raise NotFound("step_not_found", f"a publish has no step {step[:40]!r}", f"one of {known}")


def _parse_event_id(text: str | None) -> int:
    if text is None or text == "":
        return 0
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    raise BadInput("invalid_event_id", f"{text[:40]!r} is not an id of this stream's events")
