"""Give neighbours their turn: a reservation starts when the one before it ends."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, StringConstraints
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.catalogue import the_desk
from app.database import OpenSession
from app.models import Loan, Member, Reservation, Tool
from app.refusals import Refusal

router = APIRouter(prefix="/api", tags=["reservations"])


class ReservationView(BaseModel):
    id: int
    tool_id: int
    tool: str
    glyph: str
    member: str
    starts_on: dt.date
    ends_on: dt.date
    placed_on: dt.date
    purpose: str


class QueueView(BaseModel):
    """Who is next for one tool, and the first day that nobody has asked for yet."""

    loan_days: int
    next_free_on: dt.date
    reservations: list[ReservationView]


class ReservationRequest(BaseModel):
    member_id: int
    purpose: Annotated[str, StringConstraints(strip_whitespace=True, max_length=80)] = ""


@router.get("/reservations")
def list_reservations(session: OpenSession) -> list[ReservationView]:
    """List every reservation that has not ended, the next one first."""
    return _reservations(session, None)


@router.get("/tools/{tool_id}/reservations")
def read_queue(session: OpenSession, tool_id: int) -> QueueView:
    """Show who is next for a tool. Refuses with `no_such_tool` (404)."""
    return _queue(session, _tool(session, tool_id))


@router.post("/tools/{tool_id}/reservations", status_code=201)
def reserve(session: OpenSession, tool_id: int, wanted: ReservationRequest) -> QueueView:
    """Put a neighbour at the end of a tool's queue.

    Refuses with `no_such_tool`, `no_such_member` (404) or `already_reserved` (409). Requests for
    one tool wait for each other on the tool's row, so no two get the same days.
    """
    tool = _tool(session, tool_id, lock=True)
    if session.get(Member, wanted.member_id) is None:
        raise Refusal(404, "no_such_member", "Nobody of that number is a member.")
    today = the_desk(session).today
    theirs = select(Reservation.id).where(
        Reservation.tool_id == tool_id,
        Reservation.member_id == wanted.member_id,
        Reservation.ends_on >= today,
    )
    if session.scalars(theirs).first() is not None:
        raise Refusal(409, "already_reserved", "They are in the queue for it already.")
    starts_on = _next_free_on(session, tool_id)
    session.add(
        Reservation(
            tool_id=tool_id,
            member_id=wanted.member_id,
            starts_on=starts_on,
            ends_on=starts_on + dt.timedelta(days=tool.loan_days),
            placed_on=today,
            purpose=wanted.purpose,
        )
    )
    session.flush()
    return _queue(session, tool)


@router.post("/reservations/{reservation_id}/cancel")
def cancel(session: OpenSession, reservation_id: int) -> list[ReservationView]:
    """Take a reservation back. Refuses with `no_such_reservation` (404)."""
    reservation = session.get(Reservation, reservation_id)
    if reservation is None:
        raise Refusal(404, "no_such_reservation", "This reservation is gone already.")
    session.delete(reservation)
    session.flush()
    return _reservations(session, None)


def _tool(session: Session, tool_id: int, *, lock: bool = False) -> Tool:
    tool = session.get(Tool, tool_id, with_for_update=lock)
    if tool is None:
        raise Refusal(404, "no_such_tool", f"There is no tool {tool_id} on the wall.")
    return tool


def _queue(session: Session, tool: Tool) -> QueueView:
    return QueueView(
        loan_days=tool.loan_days,
        next_free_on=_next_free_on(session, tool.id),
        reservations=_reservations(session, tool.id),
    )


def _next_free_on(session: Session, tool_id: int) -> dt.date:
    """Find the day after everything that is lent or reserved; today when nothing is."""
    today = the_desk(session).today
    due_on = session.scalar(
        select(Loan.due_on).where(Loan.tool_id == tool_id, Loan.returned_on.is_(None))
    )
    ends_on = session.scalar(
        select(func.max(Reservation.ends_on)).where(Reservation.tool_id == tool_id)
    )
    taken = [day for day in (due_on, ends_on) if day is not None]
    if not taken:
        return today
    # What is late is expected back today at the earliest.
    return max(today, *taken) + dt.timedelta(days=1)


def _reservations(session: Session, tool_id: int | None) -> list[ReservationView]:
    query = (
        select(Reservation, Tool, Member)
        .join(Tool, Reservation.tool_id == Tool.id)
        .join(Member, Reservation.member_id == Member.id)
        .where(Reservation.ends_on >= the_desk(session).today)
        .order_by(Reservation.starts_on, Tool.name, Reservation.id)
    )
    if tool_id is not None:
        query = query.where(Reservation.tool_id == tool_id)
    return [
        ReservationView(
            id=reservation.id,
            tool_id=tool.id,
            tool=tool.name,
            glyph=tool.glyph,
            member=member.name,
            starts_on=reservation.starts_on,
            ends_on=reservation.ends_on,
            placed_on=reservation.placed_on,
            purpose=reservation.purpose,
        )
        for reservation, tool, member in session.execute(query)
    ]
