"""Runs: who asked for a slot, and what became of it."""

from typing import Any

from fastapi import APIRouter, Query

from ouroboros.domain.identifiers import parse_run_id
from ouroboros.entrypoints.http.dependencies import At

router = APIRouter(prefix="/api/runs", tags=["runs"])


@router.get("")
def list_runs(
    at: At, limit: int = Query(50, ge=1, le=500), before: str | None = None
) -> dict[str, Any]:
    """The newest runs first; `next_before` is where the next page begins."""
    found = at.runs.list(limit, parse_run_id(before) if before else None)
    return {
        "ok": True,
        "runs": found,
        "next_before": found[-1]["run_id"] if len(found) == limit else None,
    }


@router.get("/{run_id}")
def get_run(at: At, run_id: str) -> dict[str, Any]:
    """One run with the slot it holds and its publishes, newest first; 404 `run_not_found`."""
    parsed = parse_run_id(run_id)
    return {"ok": True, **at.runs.get(parsed), "publishes": at.publishes.list(run_id=parsed)}
