"""Slots: the list, the contract, and leasing."""

from typing import Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field

from ouroboros.domain.identifiers import branch_of, parse_ref, parse_run_id
from ouroboros.domain.reset import choose_source
from ouroboros.entrypoints.http.asked import Asked
from ouroboros.entrypoints.http.dependencies import At, PathSlot, may_wait

router = APIRouter(prefix="/api", tags=["slots"])


class RunRequest(Asked):
    """Names the run that asks."""

    run_id: str


class AcquireRequest(RunRequest):
    """Asks for a slot with a database in a known state."""

    strategy: Literal["seed", "snapshot"] = "seed"
    seed_version: str | None = None
    snapshot_version: str | None = None
    branch: str | None = None
    priority: int = Field(0, ge=-1000, le=1000)
    wait_s: float = Field(0.0, ge=0.0, le=60.0, description="seconds to wait for a free slot")
    enters_queue: bool = Field(
        True, description="false: go on waiting, but do not enter the queue if it was left"
    )
    dry_run: bool = False


class LockRequest(Asked):
    """Says why nobody may have the slot."""

    reason: str = Field(description="one line for people, of 1 to 200 characters")


@router.get("/slots")
def list_slots(at: At) -> dict[str, Any]:
    """All slots with who holds them and what they serve, and the runs that wait."""
    return {"ok": True, "slots": at.slots.all(), "queue": at.slots.queue()}


@router.get("/slots/contract")
def contract(at: At) -> dict[str, Any]:
    """The fixed names of every slot."""
    return {
        "ok": True,
        "slots": [
            {
                "slot_id": slot.id,
                "alias": slot.alias,
                "host_name": slot.host_name,
                "url": slot.preview_url,
                "web_port": slot.web_port,
                "api_port": slot.api_port,
                "db_name": slot.database.name,
                "web_unit": slot.web_unit,
                "backend_unit": slot.backend_unit,
                "web_root": slot.web_root,
            }
            for slot in at.settings.pool
        ],
    }


@router.get("/resets")
def list_resets(
    at: At, slot: str | None = None, limit: int = Query(20, ge=1, le=1000)
) -> dict[str, Any]:
    """The rows of `preview_db_resets`, newest first."""
    chosen = at.settings.pool.parse(slot) if slot else None
    return {"ok": True, "resets": at.slots.resets(chosen, limit)}


@router.post("/slots/acquire")
@may_wait
def acquire(at: At, asked: AcquireRequest, request: Request) -> dict[str, Any]:
    """Lease a slot and reset its database; 202 `waiting_for_slot` when none is free."""
    run_id = parse_run_id(asked.run_id)
    source = choose_source(asked.strategy, asked.seed_version, asked.snapshot_version)
    if asked.dry_run:
        return {"ok": True, "run_id": run_id, "dry_run": True, **at.allocator.plan(run_id, source)}
    branch = parse_ref(asked.branch or branch_of(run_id, at.settings.branch_prefix))
    got = at.allocator.allocate(
        run_id,
        branch,
        source,
        priority=asked.priority,
        wait_s=asked.wait_s,
        wake=request.app.state.slot_changes.follow(),
        enters_queue=asked.enters_queue,
    )
    slot = got.lease.slot
    return {
        "ok": True,
        "slot_id": slot.id,
        "run_id": run_id,
        "branch": branch,
        "lease_state": "leased",
        "fence": got.lease.fence,
        "leased_at": got.lease.leased_at,
        "expires_at": got.lease.expires_at,
        "already_held": got.already_held,
        "url": slot.preview_url,
        "slot_backend_url": slot.backend_url,
        "db_name": slot.database.name,
        "reset": got.reset,
    }


@router.post("/slots/reap-expired")
@may_wait
def reap(at: At) -> dict[str, Any]:
    """End overdue leases and hand their slots on."""
    ended = at.keeper.reap()
    return {
        "ok": True,
        "reaped": [{"slot_id": e.slot.id, "run_id": e.run_id, "fence": e.fence} for e in ended],
    }


@router.post("/slots/{slot}/heartbeat")
def heartbeat(at: At, slot: PathSlot, asked: RunRequest) -> dict[str, Any]:
    """Extend the run's lease; 409 `lease_lost` when it does not hold the slot."""
    lease = at.keeper.heartbeat(slot, parse_run_id(asked.run_id))
    return {
        "ok": True,
        "heartbeat_updated": True,
        "slot_id": slot.id,
        "run_id": lease.run_id,
        "reason": None,
        "fence": lease.fence,
        "expires_at": lease.expires_at,
    }


@router.post("/slots/{slot}/release")
@may_wait
def release(at: At, slot: PathSlot, asked: RunRequest) -> dict[str, Any]:
    """End the run's lease; its publish is cancelled first, its backend stopped after."""
    ended = at.keeper.release(slot, parse_run_id(asked.run_id))
    return {
        "ok": True,
        "slot_id": slot.id,
        "run_id": ended.run_id,
        "lease_state": "released",
        "fence": ended.fence,
    }


@router.post("/slots/{slot}/lock")
@may_wait
def lock(request: Request, at: At, slot: PathSlot, asked: LockRequest) -> dict[str, Any]:
    """Let nobody be given the slot; who holds it keeps it to the end of its lease."""
    changed = at.locker.lock(slot, asked.reason, request.state.principal.name)
    return {"ok": True, "slot_id": slot.id, "locked": True, "changed": changed}


@router.post("/slots/{slot}/unlock")
def unlock(request: Request, at: At, slot: PathSlot) -> dict[str, Any]:
    """Put a locked slot back into the pool; no error when it is not locked."""
    changed = at.locker.unlock(slot, request.state.principal.name)
    return {"ok": True, "slot_id": slot.id, "locked": False, "changed": changed}


@router.post("/queue/leave")
def leave_queue(at: At, asked: RunRequest) -> dict[str, Any]:
    """Take a waiting run out of the queue; no error when it does not wait."""
    run_id = parse_run_id(asked.run_id)
    return {"ok": True, "run_id": run_id, "left": at.leases.leave_queue(run_id)}
