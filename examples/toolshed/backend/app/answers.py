"""The JSON that the desk answers with, apart from the tables so that each may change alone."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

LoanDays = Literal[3, 7, 14]


class _Row(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class DeskView(BaseModel):
    """What day it is and how full the wall is."""

    season: str
    season_name: str
    strapline: str
    today: dt.date
    tools: int
    lent: int
    late: int
    loans: int


class ShelfView(_Row):
    slug: str
    name: str
    tools: int


class MemberView(_Row):
    id: int
    name: str
    street: str


class ToolView(BaseModel):
    """A tool on the wall; `borrower` and `due_on` are there only while it is out."""

    id: int
    name: str
    maker: str
    glyph: str
    shelf: str
    state: Literal["in", "out", "late"]
    borrower: str | None
    due_on: dt.date | None


class LoanView(BaseModel):
    id: int
    member: str
    street: str
    lent_on: dt.date
    due_on: dt.date
    returned_on: dt.date | None
    purpose: str


class NoteView(BaseModel):
    id: int
    kind: Literal["condition", "asks"]
    body: str
    member: str
    written_on: dt.date


class ToolPage(ToolView):
    """One tool with everything the desk knows about it, latest first."""

    shelf_name: str
    description: str
    acquired_on: dt.date
    given_by: str | None
    loans: list[LoanView]
    notes: list[NoteView]


class OpenLoanView(LoanView):
    """A loan that is still out, with the tool it took."""

    tool_id: int
    tool: str
    glyph: str
    days_late: int


class LendRequest(BaseModel):
    """Who takes a tool home, for how many days and what for."""

    member_id: int
    days: LoanDays = 7
    purpose: Annotated[str, StringConstraints(strip_whitespace=True, max_length=80)] = ""


class HeartbeatRequest(BaseModel):
    run_id: str = Field(max_length=64)


class Health(BaseModel):
    """What a preview proves about itself: the commit it serves and the database it reads."""

    status: Literal["ok"]
    slot_id: str
    run_id: str
    commit_sha: str
    database: str


class SlotState(BaseModel):
    """A slot as its own backend sees it; times are ISO 8601 in UTC."""

    slot_id: str
    state: str
    run_id: str
    lease_state: str
    expires_at: str | None
    heartbeat_at: str | None
    database: str
