"""The first page (all slots and the queue), and the page of one slot."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ouroboros.adapters.control.events import EventFilter
from ouroboros.domain.errors import Unhealthy
from ouroboros.domain.slot import Slot
from ouroboros.entrypoints.http.dependencies import At, PathSlot
from ouroboros.entrypoints.http.pages.rendering import show
from ouroboros.entrypoints.http.pages.words import percent
from ouroboros.services.publish.pipeline import PIPELINE

router = APIRouter()

_TITLES = {step.name.value: step.title for step in PIPELINE}


@router.get("/")
def all_slots(request: Request, at: At) -> HTMLResponse:
    """Who is where, what is served, who waits, and what happened last."""
    slots = [shown(slot, at.settings.lease_ttl_s) for slot in at.slots.all()]
    return show(
        request,
        "slots.html",
        title="Slots",
        here="/",
        slots=slots,
        counts=_counts(slots),
        queue=at.slots.queue(),
        strangers=_waiting_for_approval(at),
        events=at.events.newest(EventFilter(), 12),
    )


@router.get("/slots/{slot}")
def one_slot(request: Request, at: At, slot: PathSlot) -> HTMLResponse:
    """One slot: who holds it, what it serves, its publishes, its database's resets."""
    document = shown(at.slots.get(slot), at.settings.lease_ttl_s)
    return show(
        request,
        "slot.html",
        title=slot.id,
        here="/",
        slot=document,
        backend=_backend(at, slot),
        releases=at.rollback.list(slot) if document["run_id"] else [],
        publishes=at.publishes.list(slot.id, None, 12),
        resets=at.slots.resets(slot, 8),
        events=at.events.newest(EventFilter(slot_id=slot.id), 12),
    )


def _waiting_for_approval(at: At) -> list[dict[str, Any]]:
    """Pull requests of forks whose commit somebody must look at."""
    if not at.repositories:
        return []
    found = at.pull_requests.list(is_open=True, limit=200)
    return [each for each in found if each["waits_for_approval"]]


def _backend(at: At, slot: Slot) -> dict[str, Any] | None:
    """What runs behind the slot; None when the supervisor does not answer."""
    try:
        return at.backends.status(slot)
    except Unhealthy:
        return None


def shown(slot: Mapping[str, Any], ttl_s: int) -> dict[str, Any]:
    """A slot's document with what the page says of it."""
    left_s = 0.0
    if slot["expires_at"]:
        left_s = (slot["expires_at"] - datetime.now(UTC)).total_seconds()
    step, count = slot["step"], len(_TITLES)
    return {
        **slot,
        "lease_percent": percent(left_s, ttl_s),
        "step_title": _TITLES.get(step, step) if step else "Waits for the worker",
        "step_count": count,
    }


def _counts(slots: list[dict[str, Any]]) -> list[tuple[str, int]]:
    order = ("ready", "building", "failed", "leased", "free", "locked")
    found = [(state, sum(slot["state"] == state for slot in slots)) for state in order]
    return [(state, count) for state, count in found if count]
