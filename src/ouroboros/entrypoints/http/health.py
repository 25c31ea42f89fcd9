"""Health of the control plane."""

from typing import Any

from fastapi import APIRouter

from ouroboros import __version__
from ouroboros.adapters.control.connection import control
from ouroboros.entrypoints.http.dependencies import At

router = APIRouter(tags=["health"])


@router.get("/health")
def health(at: At) -> dict[str, Any]:
    """Whether the control plane can work; 503 `control_plane_unreachable` when not."""
    with control(at.control) as db:
        db.execute("SELECT 1")
    return {
        "ok": True,
        "status": "ok",
        "version": __version__,
        "slots": [slot.id for slot in at.settings.pool],
    }
