"""Publishes: queue one, watch it, read its log, cancel it."""

import threading
import time
from functools import partial
from typing import Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request

from ouroboros.adapters.control.listener import ChangeListener
from ouroboros.adapters.control.publishes import PUBLISHES_CHANNEL, STEPS_CHANNEL
from ouroboros.adapters.publish_log import PUBLISH_LOG
from ouroboros.domain.access import Kind, Principal
from ouroboros.domain.errors import Refused
from ouroboros.domain.identifiers import parse_directory, parse_ref, parse_run_id
from ouroboros.domain.publish import PublishState
from ouroboros.entrypoints.http.asked import Asked
from ouroboros.entrypoints.http.dependencies import At, waiting
from ouroboros.plans.git import parse_repository

router = APIRouter(prefix="/api/publishes", tags=["publishes"])

_LOOK_AGAIN_S = 2.0
"""How soon a waiting answer looks by itself, should a notification have been lost."""
_STEPS_TOGETHER_S = 0.5
"""How long an answer about a step waits for the next ones: most take little more than asking."""


class PublishRequest(Asked):
    """Asks that a commit becomes the preview of the slot that the run holds."""

    run_id: str
    repo: str
    ref: str
    prebuilt: str | None = None


@router.post("", status_code=202)
def publish(at: At, asked: PublishRequest, request: Request) -> dict[str, Any]:
    """Queue a publish; an older one of the same run is superseded.

    `prebuilt` names a directory of this host: only a program of its own user may say so, since
    whoever names it gets to see what lies in it (`prebuilt_is_local`).
    """
    run_id = parse_run_id(asked.run_id)
    repo, ref = parse_repository(asked.repo), parse_ref(asked.ref)
    if asked.prebuilt is not None:
        _require_local(request.state.principal)
    prebuilt = None if asked.prebuilt is None else parse_directory(asked.prebuilt)
    publish_id = at.publishes.queue(run_id, repo, ref, prebuilt)
    return {"ok": True, **describe_publish(at, publish_id)}


@router.get("")
def list_publishes(
    at: At, slot: str | None = None, run_id: str | None = None, limit: int = Query(20, ge=1, le=200)
) -> dict[str, Any]:
    """The newest publishes first."""
    slot_id = at.settings.pool.parse(slot).id if slot else None
    found = at.publishes.list(slot_id, parse_run_id(run_id) if run_id else None, limit)
    return {"ok": True, "publishes": found}


@router.get("/{publish_id}")
async def get_publish(
    request: Request,
    at: At,
    publish_id: str,
    wait_s: float = Query(0.0, ge=0.0, le=60.0),
    seen: str = "",
) -> dict[str, Any]:
    """One publish with its steps; with `wait_s` the answer waits until it differs from `seen`.

    An end is told at once, steps a moment later and together.
    """
    if wait_s == 0:
        return {"ok": True, **await run_sync(describe_publish, at, publish_id)}
    return await waiting(partial(_wait, request, at, publish_id, wait_s, seen))


def _wait(request: Request, at: At, publish_id: str, wait_s: float, seen: str) -> dict[str, Any]:
    deadline = time.monotonic() + wait_s
    changes: ChangeListener = request.app.state.publish_changes
    stepped, ended = threading.Event(), threading.Event()

    def end() -> None:
        ended.set()
        stepped.set()

    with (
        changes.calling(STEPS_CHANNEL, publish_id, stepped.set),
        changes.calling(PUBLISHES_CHANNEL, publish_id, end),
    ):
        while True:
            stepped.clear()
            ended.clear()
            found = describe_publish(at, publish_id)
            left_s = deadline - time.monotonic()
            if found["version"] != seen or left_s <= 0:
                return {"ok": True, **found}
            if stepped.wait(min(left_s, _LOOK_AGAIN_S)):
                ended.wait(min(left_s, _STEPS_TOGETHER_S))


@router.post("/{publish_id}/cancel")
def cancel(at: At, publish_id: str) -> dict[str, Any]:
    """Ask for its end; no error when it has ended."""
    at.publishes.cancel(publish_id)
    return {"ok": True, **describe_publish(at, publish_id)}


def _require_local(principal: Principal) -> None:
    if principal.kind is not Kind.LOCAL:
        raise Refused(
            "prebuilt_is_local",
            "a directory of this host can only be named by a program of its own user",
            "run ouroboros publish --prebuilt on the host itself",
        )


def describe_publish(at: At, publish_id: str) -> dict[str, Any]:
    """A publish as every answer about one shows it; raises `publish_not_found`."""
    found = at.publishes.get(publish_id)
    slot = at.settings.pool.parse(found["slot_id"])
    steps = [
        {
            **step,
            "duration_ms": round((step["finished_at"] - step["started_at"]).total_seconds() * 1e3)
            if step["finished_at"]
            else None,
        }
        for step in found["steps"]
    ]
    done = sum(1 for step in steps if step["finished_at"])
    final = PublishState(found["state"]).is_final
    is_rollback = "rollback_to" in found["details"]
    return {
        "publish_id": publish_id,
        "run_id": found["run_id"],
        "slot_id": found["slot_id"],
        "state": found["state"],
        "preview_ready": found["state"] == PublishState.READY,
        "final": final,
        # As the last ones of this repository did; nothing when there were none.
        "expected_s": None
        if final
        else at.measures.typical_publish_s(found["repo"], is_rollback=is_rollback),
        "commit_sha": found["commit_sha"],
        "repo": found["repo"],
        "ref": found["ref"],
        "rollback_to": found["details"].get("rollback_to"),
        "prebuilt": found["details"].get("prebuilt"),
        "picture": found["details"].get("picture"),
        "failed_step": found["failed_step"],
        "failure": found["error"],
        "url": slot.preview_url,
        "slot_backend_url": slot.backend_url,
        "vite_api_base_url": "/api",
        "steps": steps,
        "artifacts": found["artifacts"],
        "log": str(at.layout.artifacts(publish_id) / PUBLISH_LOG),
        "queued_at": found["queued_at"],
        "started_at": found["started_at"],
        "finished_at": found["finished_at"],
        "version": f"{found['state']}-{len(steps)}-{done}",
    }
