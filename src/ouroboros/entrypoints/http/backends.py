"""Backends of slots: the five verbs, and migrating by hand."""

from typing import Any, Literal

from fastapi import APIRouter

from ouroboros.entrypoints.http.asked import Asked
from ouroboros.entrypoints.http.dependencies import At, BoundRun, PathSlot, may_wait

router = APIRouter(prefix="/api/slots/{slot}", tags=["backends"])


class MigrateRequest(Asked):
    """Whether to only check."""

    dry_run: bool = False
    rehearse: bool = False


@router.get("/backend")
def status(at: At, slot: PathSlot) -> dict[str, Any]:
    """What runs behind the slot's API port; a stopped backend is no error."""
    return {"ok": True, **at.backends.status(slot)}


@router.get("/backend/health")
@may_wait
def health(at: At, slot: PathSlot) -> dict[str, Any]:
    """Ask the backend itself; 503 `backend_unhealthy` when it does not answer well."""
    return {"ok": True, **at.backends.health(slot)}


@router.post("/backend/{verb}")
@may_wait
def act(
    at: At, slot: PathSlot, verb: Literal["start", "restart", "stop"], bound_run: BoundRun
) -> dict[str, Any]:
    """Start, restart or stop it; repeating one is no error."""
    match verb:
        case "start":
            described = at.backends.start(slot, bound_run)
        case "restart":
            described = at.backends.restart(slot, bound_run)
        case "stop":
            described = at.backends.stop(slot, bound_run)
    return {"ok": True, **described}


@router.post("/migrate")
@may_wait
def migrate(at: At, slot: PathSlot, asked: MigrateRequest, bound_run: BoundRun) -> dict[str, Any]:
    """Run the live release's migrations on the slot's database, or on a throw-away clone."""
    if asked.rehearse:
        return {"ok": True, "rehearsal": True, **at.migrator.rehearse(slot)}
    return {"ok": True, **at.migrator.migrate(slot, dry_run=asked.dry_run, run_id=bound_run)}
