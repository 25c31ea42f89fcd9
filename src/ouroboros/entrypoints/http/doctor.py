"""The doctor: what is wrong or weaker in this installation, and what mends it."""

from typing import Any

from fastapi import APIRouter

from ouroboros.entrypoints.http.dependencies import At, may_wait

router = APIRouter(prefix="/api/doctor", tags=["host"])


@router.get("")
@may_wait
def examine(at: At) -> dict[str, Any]:
    """Look everything over; 503 `doctor_found_errors` when a finding is an error."""
    return {"ok": True, **at.doctor.examine()}
