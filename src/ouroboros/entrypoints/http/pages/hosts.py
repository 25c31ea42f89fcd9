"""Hosts: where the slots are, whether the worker goes round, room, and what the doctor finds."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ouroboros.adapters.host.room import read_room
from ouroboros.domain.errors import PreviewError
from ouroboros.entrypoints.http.dependencies import At
from ouroboros.entrypoints.http.pages.rendering import show

router = APIRouter()

_SILENT_AFTER_S = 30.0


@router.get("/hosts")
def all_hosts(request: Request, at: At) -> HTMLResponse:
    """Each host with its worker, its room and its slots. Asks no program, so it is quick."""
    slots = at.slots.all()
    return show(
        request,
        "hosts.html",
        title="Hosts",
        here="/hosts",
        hosts=[{**host, "worker": _worker(host["worker_age_s"])} for host in at.hosts.all()],
        room=read_room(at.settings.state_dir),
        settings=at.settings,
        slots=slots,
        waiting=len(at.slots.queue()),
    )


@router.get("/hosts/findings")
def findings(request: Request, at: At) -> HTMLResponse:
    """What the doctor finds now, the worst first. Costs an examination; not live."""
    found: dict[str, Any] = {}
    error: PreviewError | None = None
    try:
        found = at.doctor.examine()
    except PreviewError as trouble:
        error = trouble
        found = dict(trouble.details)
    return show(
        request,
        "findings.html",
        title="Findings",
        here="/hosts",
        live=False,
        findings=found.get("findings", []),
        error=None if found else error,
    )


def _worker(age_s: float | None) -> str:
    if age_s is None:
        return "never seen"
    return "goes round" if age_s < _SILENT_AFTER_S else "silent"
