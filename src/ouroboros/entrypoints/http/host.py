"""The host: provisioning and the health check."""

from typing import Any

from fastapi import APIRouter

from ouroboros.entrypoints.http.asked import Asked
from ouroboros.entrypoints.http.dependencies import At

router = APIRouter(prefix="/api/host", tags=["host"])


class ProvisionRequest(Asked):
    """Whether to only tell."""

    dry_run: bool = False


@router.post("/provision")
def provision(at: At, asked: ProvisionRequest) -> dict[str, Any]:
    """Lay out what the slots need and start what should run."""
    return {"ok": True, **at.host.provision(dry_run=asked.dry_run)}


@router.post("/collect")
def collect(at: At) -> dict[str, Any]:
    """Remove releases, artifacts, cached files and mirrors that nothing needs any more."""
    return {"ok": True, **at.collector.collect()}


@router.get("/health-check")
def health_check(at: At) -> dict[str, Any]:
    """Check every slot; 503 `slots_unhealthy` naming what is not well."""
    return {"ok": True, **at.host.check()}
