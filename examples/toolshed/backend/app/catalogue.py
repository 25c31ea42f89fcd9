"""Read the wall: what there is, who has it, since when. Nothing here writes."""

from __future__ import annotations

import datetime as dt

from fastapi import APIRouter
from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session

from app.answers import (
    DeskView,
    LoanView,
    MemberView,
    NoteView,
    OpenLoanView,
    ShelfView,
    ToolPage,
    ToolView,
)
from app.database import OpenSession
from app.models import Desk, DeskNote, Loan, Member, Shelf, Tool
from app.refusals import Refusal

router = APIRouter(prefix="/api", tags=["catalogue"])


@router.get("/desk")
def read_desk(session: OpenSession) -> DeskView:
    """Tell the day at the desk and count the wall."""
    desk = the_desk(session)
    still_out = Loan.returned_on.is_(None)
    lent, late, loans = session.execute(
        select(
            func.count().filter(still_out),
            func.count().filter(still_out, Loan.due_on < desk.today),
            func.count(),
        ).select_from(Loan)
    ).one()
    return DeskView(
        season=desk.season,
        season_name=desk.season_name,
        strapline=desk.strapline,
        today=desk.today,
        tools=session.scalar(select(func.count()).select_from(Tool)) or 0,
        lent=lent,
        late=late,
        loans=loans,
    )


@router.get("/shelves")
def list_shelves(session: OpenSession) -> list[ShelfView]:
    """List the shelves from left to right, with how many tools each has."""
    rows = session.execute(
        select(Shelf.slug, Shelf.name, func.count(Tool.id).label("tools"))
        .outerjoin(Tool, Tool.shelf_id == Shelf.id)
        .group_by(Shelf.id)
        .order_by(Shelf.position)
    )
    return [ShelfView.model_validate(row) for row in rows]


@router.get("/members")
def list_members(session: OpenSession) -> list[MemberView]:
    """List the neighbours by name."""
    return [MemberView.model_validate(m) for m in session.scalars(select(Member).order_by("name"))]


@router.get("/tools")
def list_tools(
    session: OpenSession, q: str = "", shelf: str = "", available: bool = False
) -> list[ToolView]:
    """List tools in the order of the wall; `q` is looked for in name, maker and description."""
    query = _tools_with_open_loan().order_by(Shelf.position, Tool.name, Tool.id)
    for word in q.split():
        query = query.where(
            or_(
                Tool.name.icontains(word, autoescape=True),
                Tool.maker.icontains(word, autoescape=True),
                Tool.description.icontains(word, autoescape=True),
            )
        )
    if shelf:
        query = query.where(Shelf.slug == shelf)
    if available:
        query = query.where(Loan.id.is_(None))
    today = the_desk(session).today
    return [
        _view(tool, shelf, loan, member, today)
        for tool, shelf, loan, member in session.execute(query)
    ]


@router.get("/tools/{tool_id}")
def read_tool(session: OpenSession, tool_id: int) -> ToolPage:
    """Show one tool. Refuses with `no_such_tool` (404)."""
    return page_of(session, tool_id)


@router.get("/loans")
def list_open_loans(session: OpenSession) -> list[OpenLoanView]:
    """List what is out, the longest overdue first."""
    today = the_desk(session).today
    rows = session.execute(
        select(Loan, Member, Tool)
        .join(Member, Loan.member_id == Member.id)
        .join(Tool, Loan.tool_id == Tool.id)
        .where(Loan.returned_on.is_(None))
        .order_by(Loan.due_on, Tool.name, Tool.id)
    )
    return [
        OpenLoanView(
            **_loan(loan, member).model_dump(),
            tool_id=tool.id,
            tool=tool.name,
            glyph=tool.glyph,
            days_late=max(0, (today - loan.due_on).days),
        )
        for loan, member, tool in rows
    ]


def the_desk(session: Session) -> Desk:
    """Read the desk's one row. Refuses with `desk_not_set` (503) on an empty database."""
    desk = session.get(Desk, 1)
    if desk is None:
        raise Refusal(503, "desk_not_set", "The database holds no desk: it was never seeded.")
    return desk


def page_of(session: Session, tool_id: int) -> ToolPage:
    """Collect one tool's page. Refuses with `no_such_tool` (404)."""
    found = session.execute(_tools_with_open_loan().where(Tool.id == tool_id)).first()
    if found is None:
        raise Refusal(404, "no_such_tool", f"There is no tool {tool_id} on the wall.")
    tool, shelf, loan, member = found
    loans = session.execute(
        select(Loan, Member)
        .join(Member, Loan.member_id == Member.id)
        .where(Loan.tool_id == tool_id)
        .order_by(Loan.lent_on.desc(), Loan.id.desc())
    )
    notes = session.execute(
        select(DeskNote, Member)
        .join(Member, DeskNote.member_id == Member.id)
        .where(DeskNote.tool_id == tool_id)
        .order_by(DeskNote.written_on.desc(), DeskNote.id.desc())
    )
    return ToolPage(
        **_view(tool, shelf, loan, member, the_desk(session).today).model_dump(),
        shelf_name=shelf.name,
        description=tool.description,
        acquired_on=tool.acquired_on,
        given_by=tool.given_by,
        loans=[_loan(*row) for row in loans],
        notes=[_note(*row) for row in notes],
    )


# The outer joins leave loan and member empty while the tool is in.
def _tools_with_open_loan() -> Select[Tool, Shelf, Loan, Member]:
    return (
        select(Tool, Shelf, Loan, Member)
        .join(Shelf, Tool.shelf_id == Shelf.id)
        .outerjoin(Loan, and_(Loan.tool_id == Tool.id, Loan.returned_on.is_(None)))
        .outerjoin(Member, Loan.member_id == Member.id)
    )


def _view(
    tool: Tool, shelf: Shelf, loan: Loan | None, member: Member | None, today: dt.date
) -> ToolView:
    return ToolView(
        id=tool.id,
        name=tool.name,
        maker=tool.maker,
        glyph=tool.glyph,
        shelf=shelf.slug,
        state="in" if loan is None else "late" if loan.due_on < today else "out",
        borrower=member.name if member else None,
        due_on=loan.due_on if loan else None,
    )


def _loan(loan: Loan, member: Member) -> LoanView:
    return LoanView(
        id=loan.id,
        member=member.name,
        street=member.street,
        lent_on=loan.lent_on,
        due_on=loan.due_on,
        returned_on=loan.returned_on,
        purpose=loan.purpose,
    )


def _note(note: DeskNote, member: Member) -> NoteView:
    return NoteView(
        id=note.id,
        kind="asks" if note.kind == "asks" else "condition",
        body=note.body,
        member=member.name,
        written_on=note.written_on,
    )
