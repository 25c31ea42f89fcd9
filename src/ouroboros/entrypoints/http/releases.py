"""The releases of a slot, and going back to one of them."""

from typing import Any

from fastapi import APIRouter

from ouroboros.entrypoints.http.asked import Asked
from ouroboros.entrypoints.http.dependencies import At, PathSlot
from ouroboros.entrypoints.http.publishes import describe_publish

router = APIRouter(prefix="/api/slots", tags=["releases"])


class RollbackRequest(Asked):
    """Asks that a slot serves a kept release again: `to`, or the one before the live one."""

    to: str | None = None
    database: bool = False


@router.post("/{slot}/rollback", status_code=202)
def roll_back(at: At, slot: PathSlot, asked: RollbackRequest) -> dict[str, Any]:
    """Queue a rollback; it is a publish without a build, so it is watched like one."""
    publish_id = at.rollback.queue(slot, asked.to, with_database=asked.database)
    return {"ok": True, **describe_publish(at, publish_id)}


@router.get("/{slot}/releases")
def list_releases(at: At, slot: PathSlot) -> dict[str, Any]:
    """The releases of the slot's lease, newest first: which is live, which can be gone back to."""
    return {"ok": True, "slot_id": slot.id, "releases": at.rollback.list(slot)}
