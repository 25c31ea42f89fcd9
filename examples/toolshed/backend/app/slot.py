"""Answer for the slot: is it well, whose is it, and does it hear its own heartbeat.

The heartbeat lives in this process and not in the database: the database's state is compared
with its seed, and asking a preview how it is must not change what it shows.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app.answers import Health, HeartbeatRequest, SlotState
from app.database import connected_database
from app.environment import Environment, slot_id_of
from app.refusals import Refusal

# How long a lease lasts after a heartbeat, as the slots' contract says (1800 s).
_LEASE_TTL = dt.timedelta(seconds=1800)

router = APIRouter(tags=["slot"])


@dataclass(slots=True)
class Pulse:
    """When the last heartbeat came; one assignment, so threads need no lock."""

    at: dt.datetime | None = None

    def expires_at(self) -> str | None:
        """Say until when the last heartbeat is good."""
        return (self.at + _LEASE_TTL).isoformat() if self.at else None


@router.get("/health")
def health(request: Request) -> Health:
    """Report the slot, the commit and the database that really answered; 503 if none does."""
    environment = _environment(request)
    database = connected_database(request.app.state.engine)
    if database != environment.database_name:
        raise Refusal(503, "slot_database_mismatch", f"The database that answers is {database!r}.")
    return Health(
        status="ok",
        slot_id=environment.slot_id,
        run_id=environment.run_id,
        commit_sha=environment.commit_sha,
        database=database,
    )


@router.get("/api/slots")
def list_slots(request: Request) -> list[SlotState]:
    """List the one slot a backend knows, its own."""
    environment, pulse = _environment(request), _pulse(request)
    return [
        SlotState(
            slot_id=environment.slot_id,
            state="leased",
            run_id=environment.run_id,
            lease_state="leased",
            expires_at=pulse.expires_at(),
            heartbeat_at=pulse.at.isoformat() if pulse.at else None,
            database=environment.database_name,
        )
    ]


@router.post("/api/slots/{slot}/heartbeat")
def heartbeat(request: Request, slot: str, beat: HeartbeatRequest) -> JSONResponse:
    """Take a heartbeat for this slot and this run.

    Another slot's or another run's is refused (409) with the reason; what is no slot at all is
    `invalid_slot` (400). May be repeated.
    """
    environment, pulse = _environment(request), _pulse(request)
    slot_id = slot_id_of(slot)
    if slot_id is None:
        raise Refusal(400, "invalid_slot", f"{slot!r} is not the name of a slot.")
    reason = None
    if slot_id != environment.slot_id:
        reason = "slot_mismatch"
    elif beat.run_id != environment.run_id:
        reason = "run_mismatch"
    else:
        pulse.at = dt.datetime.now(dt.UTC)
    body = {
        "heartbeat_updated": reason is None,
        "slot_id": environment.slot_id,
        "run_id": environment.run_id,
        "reason": reason,
        "expires_at": pulse.expires_at(),
    }
    return JSONResponse(body, status_code=200 if reason is None else 409)


def _environment(request: Request) -> Environment:
    environment: Environment = request.app.state.environment
    return environment


def _pulse(request: Request) -> Pulse:
    pulse: Pulse = request.app.state.pulse
    return pulse
