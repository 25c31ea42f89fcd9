"""Lend a tool and take it back: the only code that writes."""

from __future__ import annotations

import datetime as dt

from fastapi import APIRouter
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.answers import LendRequest, ToolPage
from app.catalogue import page_of, the_desk
from app.database import OpenSession
from app.models import Loan, Member, Tool
from app.refusals import Refusal

router = APIRouter(prefix="/api/tools", tags=["lending"])


@router.post("/{tool_id}/lend")
def lend(session: OpenSession, tool_id: int, wanted: LendRequest) -> ToolPage:
    """Write a loan that starts today.

    Refuses with `no_such_tool`, `no_such_member` (404) or `already_lent` (409). Two neighbours
    who ask at once are told apart by the lock on the tool's row.
    """
    _lock_tool(session, tool_id)
    if session.get(Member, wanted.member_id) is None:
        raise Refusal(404, "no_such_member", "Nobody of that number is a member.")
    if _open_loan(session, tool_id) is not None:
        raise Refusal(409, "already_lent", "Somebody else has just taken it home.")
    today = the_desk(session).today
    session.add(
        Loan(
            tool_id=tool_id,
            member_id=wanted.member_id,
            lent_on=today,
            due_on=today + dt.timedelta(days=wanted.days),
            returned_on=None,
            purpose=wanted.purpose,
        )
    )
    session.flush()
    return page_of(session, tool_id)


@router.post("/{tool_id}/return")
def take_back(session: OpenSession, tool_id: int) -> ToolPage:
    """Close the open loan today. Refuses with `no_such_tool` (404) or `not_lent` (409)."""
    _lock_tool(session, tool_id)
    loan = _open_loan(session, tool_id)
    if loan is None:
        raise Refusal(409, "not_lent", "It already hangs on the wall.")
    loan.returned_on = the_desk(session).today
    session.flush()
    return page_of(session, tool_id)


def _lock_tool(session: Session, tool_id: int) -> None:
    if session.get(Tool, tool_id, with_for_update=True) is None:
        raise Refusal(404, "no_such_tool", f"There is no tool {tool_id} on the wall.")


def _open_loan(session: Session, tool_id: int) -> Loan | None:
    return session.scalars(
        select(Loan).where(Loan.tool_id == tool_id, Loan.returned_on.is_(None))
    ).first()
