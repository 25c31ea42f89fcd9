"""Publishes: the list, the page of one with its timeline and log, and the page of a run."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse

from ouroboros.adapters.publish_log import PUBLISH_LOG
from ouroboros.domain.errors import NotFound
from ouroboros.domain.identifiers import parse_run_id
from ouroboros.domain.publish import PublishState
from ouroboros.domain.terminal_text import without_colours
from ouroboros.entrypoints.http.dependencies import At
from ouroboros.entrypoints.http.pages.rendering import HEADERS, show
from ouroboros.entrypoints.http.pages.slots import shown
from ouroboros.entrypoints.http.pictures import answer_picture
from ouroboros.services.publish.pipeline import PIPELINE, ROLLBACK

router = APIRouter()

_LOG_TAIL_BYTES = 128 * 1024
_MOST_READS = 100
_ARTIFACT_LIMIT_BYTES = 8 << 20


@router.get("/publishes")
def all_publishes(
    request: Request, at: At, before: int | None = Query(None, ge=0, le=(1 << 63) - 1)
) -> HTMLResponse:
    """The newest first."""
    found = at.publishes.list(limit=50, before=before)
    return show(
        request,
        "publishes.html",
        title="Publishes",
        here="/publishes",
        live=before is None,
        publishes=found,
        next_before=found[-1]["seq"] if len(found) == 50 else None,
    )


@router.get("/publishes/{publish_id}")
def one_publish(request: Request, at: At, publish_id: str) -> HTMLResponse:
    """One publish: its steps with their times, its log, what it left, what it did."""
    found = at.publishes.get(publish_id)
    slot = at.settings.pool.parse(found["slot_id"])
    final = PublishState(found["state"]).is_final
    text, offset = _tail(at, publish_id) if final else _so_far(at, publish_id)
    return show(
        request,
        "publish.html",
        title=f"Publish {publish_id}",
        here="/publishes",
        publish=found,
        final=final,
        steps=_timeline(found),
        rollback_to=found["details"].get("rollback_to"),
        picture=found["details"].get("picture"),
        compare_with=_seen_before(at, found),
        slot=at.slots.get(slot),
        log=without_colours(text),
        log_offset=offset,
    )


@router.get("/publishes/{publish_id}/artifacts/{name}")
def artifact(at: At, publish_id: str, name: str) -> Response:
    """A file that a publish left: a picture, or else plain text; 404 `artifact_not_found`."""
    if name.endswith(".png"):
        return answer_picture(at, publish_id, name)
    known = {row["name"] for row in at.publishes.get(publish_id)["artifacts"]}
    path = at.layout.artifacts(publish_id) / name
    if name not in known or not path.is_file():
        raise NotFound("artifact_not_found", f"{publish_id} has no artifact {name[:80]!r}")
    with path.open("rb") as file:
        data = file.read(_ARTIFACT_LIMIT_BYTES)
    return PlainTextResponse(data.decode("utf-8", "replace"), headers=HEADERS)


@router.get("/runs/{run_id}")
def one_run(request: Request, at: At, run_id: str) -> HTMLResponse:
    """One run: where it is and everything it published."""
    parsed = parse_run_id(run_id)
    run = at.runs.get(parsed)
    slot = None
    if run["slot_id"]:
        slot = shown(at.slots.get(at.settings.pool.parse(run["slot_id"])), at.settings.lease_ttl_s)
    return show(
        request,
        "run.html",
        title=f"Run {parsed}",
        here="/publishes",
        run=run,
        slot=slot,
        publishes=at.publishes.list(run_id=parsed, limit=50),
    )


def _seen_before(at: At, publish: Mapping[str, Any]) -> str | None:
    """The publish before this one of which there is a picture to compare with."""
    if not any(row["media_type"] == "image/png" for row in publish["artifacts"]):
        return None
    before = at.publishes.list(run_id=publish["run_id"], limit=20, before=publish["seq"])
    pictured = (row for row in before if row["details"].get("picture", {}).get("name"))
    return next((str(row["publish_id"]) for row in pictured), None)


def _timeline(publish: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every step of the publish's pipeline in order, with what is recorded of it."""
    recorded = {row["step"]: row for row in publish["steps"]}
    pipeline = ROLLBACK if publish["details"].get("rollback_to") else PIPELINE
    shown = [_step(step.name.value, step.title, recorded) for step in pipeline]
    longest = max((step["duration_ms"] or 0 for step in shown), default=0)
    return [{**step, "share": _share(step["duration_ms"], longest)} for step in shown]


def _step(name: str, title: str, recorded: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    row = recorded.get(name)
    took = None
    if row is not None and row["finished_at"]:
        took = (row["finished_at"] - row["started_at"]).total_seconds() * 1000
    return {
        "name": name,
        "title": title,
        "state": row["state"] if row else "waiting-step",
        "started_at": row["started_at"] if row else None,
        "attempts": row["attempts"] if row else 0,
        "duration_ms": took,
        "error": (row["result"].get("message") if row and row["state"] == "failed" else None),
        "result": row["result"] if row else {},
    }


def _share(took: float | None, longest: float) -> int:
    return round(100 * took / longest) if took and longest else 0


def _tail(at: At, publish_id: str) -> tuple[str, int]:
    """The end of the log as text, and the byte offset after it."""
    try:
        with (at.layout.artifacts(publish_id) / PUBLISH_LOG).open("rb") as file:
            file.seek(0, 2)
            end = file.tell()
            file.seek(max(0, end - _LOG_TAIL_BYTES))
            return file.read(_LOG_TAIL_BYTES).decode("utf-8", "replace"), end
    except FileNotFoundError:
        return "", 0


def _so_far(at: At, publish_id: str) -> tuple[str, int]:
    """What a running publish has printed, and the offset from which the stream goes on."""
    parts: list[str] = []
    offset = 0
    for _ in range(_MOST_READS):
        _, rows = at.output.read(publish_id, offset)
        if not rows:
            break
        parts += [row["chunk"] for row in rows]
        offset = rows[-1]["seq"]
    return "".join(parts)[-_LOG_TAIL_BYTES:], offset
