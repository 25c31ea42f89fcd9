"""States of databases: fingerprints, differences, snapshots, and the pool they wait in."""

from typing import Any

from fastapi import APIRouter, Request
from pydantic import Field

from ouroboros.domain.database_url import DatabaseUrl
from ouroboros.domain.errors import Denied, Refused
from ouroboros.domain.reset import choose_source
from ouroboros.entrypoints.http.asked import Asked
from ouroboros.entrypoints.http.browsers import is_socket
from ouroboros.entrypoints.http.dependencies import At, BoundRun, PathSlot, may_wait

router = APIRouter(prefix="/api", tags=["databases"])


class SnapshotRequest(Asked):
    """The name of a snapshot to be taken, and whether a file is made of it, too."""

    name: str
    archive: bool = False


class SourceRequest(Asked):
    """A seed or a snapshot version."""

    strategy: str = "seed"
    seed_version: str | None = None
    snapshot_version: str | None = None


class SampleSize(Asked):
    """How many rows of each kind of change are shown."""

    samples: int = Field(default=5, ge=0, le=1000)


@router.get("/databases/pool")
def pool(at: At) -> dict[str, Any]:
    """Slots, standbys, templates, what is being made, and what failed lately."""
    return {"ok": True, **at.databases.pool()}


@router.get("/databases/sources")
def sources(at: At) -> dict[str, Any]:
    """Every seed and snapshot version with its files and templates."""
    return {"ok": True, "sources": at.databases.sources()}


@router.post("/databases/fingerprint")
@may_wait
def fingerprint_of_source(at: At, asked: SourceRequest) -> dict[str, Any]:
    """The fingerprint of a seed or snapshot; builds its template when there is none."""
    source = choose_source(asked.strategy, asked.seed_version, asked.snapshot_version)
    return {
        "ok": True,
        "strategy": source.strategy,
        "version": source.version,
        **at.databases.fingerprint(source),
    }


@router.post("/databases/snapshots/{name}/archive")
@may_wait
def archive_snapshot(at: At, name: str) -> dict[str, Any]:
    """Make sure that a snapshot has a file, and say where."""
    return {"ok": True, **at.databases.archive_snapshot(name)}


@router.post("/databases/snapshots/{name}/delete")
@may_wait
def delete_snapshot(at: At, name: str) -> dict[str, Any]:
    """Delete a snapshot that no slot is on, with its file."""
    return {"ok": True, **at.databases.delete_snapshot(name)}


@router.post("/slots/{slot}/database/snapshot")
@may_wait
def take_snapshot(
    at: At, slot: PathSlot, asked: SnapshotRequest, bound_run: BoundRun
) -> dict[str, Any]:
    """Keep the present state of a slot's database under a name."""
    with at.slots.exclusive_work(slot, bound_run):
        taken = at.databases.snapshot(slot, asked.name, archive=asked.archive)
    return {"ok": True, **taken}


@router.get("/slots/{slot}/database/fingerprint")
@may_wait
def fingerprint_of_slot(at: At, slot: PathSlot) -> dict[str, Any]:
    """The fingerprint of a slot's database now, and the one its last reset promised."""
    return {"ok": True, "slot_id": slot.id, **at.databases.fingerprint(slot)}


@router.post("/slots/{slot}/database/verify")
@may_wait
def verify(at: At, slot: PathSlot) -> dict[str, Any]:
    """Whether a slot's database is what its last reset promised (`database_differs`)."""
    found = {"slot_id": slot.id, **at.databases.verify(slot)}
    if not found["matches"]:
        first = found["first_difference"]
        where = first.get("table") or first.get("name") or first["what"]
        raise Refused(
            "database_differs",
            f"{slot.database.name} is not what its last reset promised: first in {where}",
            f"ouroboros db diff --slot {slot.id}",
            found,
        )
    return {"ok": True, **found}


@router.post("/slots/{slot}/database/diff")
@may_wait
def diff(at: At, slot: PathSlot, asked: SampleSize) -> dict[str, Any]:
    """What changed in a slot's database since its reset."""
    return {"ok": True, "slot_id": slot.id, **at.databases.diff(slot, asked.samples)}


@router.get("/slots/{slot}/database/url")
def url(at: At, slot: PathSlot, request: Request) -> dict[str, Any]:
    """What the slot's backend gets as `DATABASE_URL`, for a developer's own tools.

    Only over the installation's unix socket: any process of this host, a neighbour's backend
    among them, may reach the TCP port (403 `local_socket_only`).
    """
    if not is_socket(request):
        raise Denied(
            "local_socket_only",
            "a password is handed out over the unix socket only",
            "ouroboros db url --slot S, on the host itself",
        )
    found: DatabaseUrl = at.databases.url(slot)
    return {
        "ok": True,
        "slot_id": slot.id,
        "db_name": found.database,
        "role": found.user,
        "database_url": found.text(),
    }
