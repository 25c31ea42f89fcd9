"""Databases of slots: bringing one to a known state."""

from typing import Any, Literal

from fastapi import APIRouter

from ouroboros.domain.errors import Refused
from ouroboros.domain.identifiers import parse_run_id
from ouroboros.domain.reset import EMPTY, Source, choose_source
from ouroboros.domain.slot import Slot
from ouroboros.entrypoints.http.asked import Asked
from ouroboros.entrypoints.http.dependencies import At, BoundRun, PathSlot, may_wait

router = APIRouter(prefix="/api/slots/{slot}/database", tags=["databases"])


class ResetRequest(Asked):
    """Which state; no version at all means an empty database."""

    run_id: str | None = None
    strategy: Literal["seed", "snapshot", "empty"] = "seed"
    seed_version: str | None = None
    snapshot_version: str | None = None
    dry_run: bool = False
    rebuild: bool = False
    strict: bool = False


@router.post("/reset")
@may_wait
def reset(at: At, slot: PathSlot, asked: ResetRequest, bound_run: BoundRun) -> dict[str, Any]:
    """Bring the slot's database to a known state; a run may only reset the slot it holds.

    Without a run it is an operator's reset, which needs no lease. Whoever is bound to a run acts
    for it, named or not.
    """
    source = (
        EMPTY
        if asked.strategy == "empty"
        else choose_source(asked.strategy, asked.seed_version, asked.snapshot_version)
    )
    run_id = parse_run_id(asked.run_id) if asked.run_id is not None else bound_run
    if asked.dry_run:
        return _plan(at, slot, source, run_id, _refusal(slot, run_id, at.slots.holder(slot)))
    with at.slots.exclusive_work(slot, bound_run):
        holder = at.slots.holder(slot)
        refusal = _refusal(slot, run_id, holder)
        if refusal is not None:
            raise refusal
        fence = holder[1] if holder and run_id is not None else None
        report = at.databases.reset(
            slot,
            source,
            run_id=run_id,
            fence=fence,
            rebuild=asked.rebuild,
            strict=asked.strict,
        )
        shown_under = fence if fence is not None else int(at.slots.get(slot)["fence"])
        at.web_roots.tell_data(slot, shown_under, report.fingerprint)
    return {
        "ok": True,
        "slot_id": slot.id,
        "run_id": run_id,
        "db_name": report.db_name,
        "reset_id": report.reset_id,
        "reset_status": "completed",
        "strategy": source.strategy,
        "seed_version": source.seed_version,
        "snapshot_version": source.snapshot_version,
        "path": report.path,
        "fingerprint": report.fingerprint,
        "duration_ms": round(report.duration_ms, 2),
        "details": report.details,
    }


def _refusal(slot: Slot, run_id: str | None, holder: tuple[str, int] | None) -> Refused | None:
    if run_id is None or holder is None or holder[0] == run_id:
        return None
    return Refused(
        "slot_leased_by_another_run",
        f"{slot.id} is held by run {holder[0]}, not by {run_id}",
        f"use --run-id {holder[0]}, or allocate a slot for {run_id}",
        {"slot_id": slot.id, "holder": holder[0]},
    )


def _plan(
    at: At, slot: Slot, source: Source, run_id: str | None, refusal: Refused | None
) -> dict[str, Any]:
    found = at.databases.check(source)
    named = "an empty database" if source == EMPTY else f"{source.strategy} {source.version}"
    return {
        "ok": True,
        "dry_run": True,
        "slot_id": slot.id,
        "run_id": run_id,
        "db_name": slot.database.name,
        "strategy": source.strategy,
        "seed_version": source.seed_version,
        "snapshot_version": source.snapshot_version,
        "source": found,
        "warnings": [] if refusal is None else [f"would be refused now: {refusal.message}"],
        "steps": [
            f"close {slot.database.name} to connections and end its sessions",
            f"put {named} in its place, in one transaction",
            f"give it to role {slot.database.role} alone and open it",
            "record the reset with its fingerprint in preview_db_resets",
        ],
    }
