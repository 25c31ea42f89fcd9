"""The tables of the tool library, as Alembic's head makes them."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Every table; constraint names follow one rule, so that a migration can name them."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[type, type]] = {str: Text}


class Desk(Base):
    """The one row that says what day it is at the desk.

    The library keeps its own calendar: with the machine's clock every loan of the seed would be
    overdue by next month, and two previews of one seed would not look the same.
    """

    __tablename__ = "desk"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    season: Mapped[str]
    season_name: Mapped[str]
    strapline: Mapped[str]
    today: Mapped[dt.date]


class Shelf(Base):
    """A part of the wall: garden, woodwork, ladders."""

    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    position: Mapped[int]


class Member(Base):
    """A neighbour who may borrow."""

    __tablename__ = "members"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    street: Mapped[str]
    joined_on: Mapped[dt.date]


class Tool(Base):
    """One thing that can be lent; `glyph` names its silhouette on the page."""

    __tablename__ = "tools"
    __table_args__ = (CheckConstraint("loan_days > 0", name="loan_days"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("shelves.id"), index=True)
    name: Mapped[str]
    maker: Mapped[str]
    glyph: Mapped[str]
    description: Mapped[str]
    acquired_on: Mapped[dt.date]
    given_by: Mapped[str | None]
    loan_days: Mapped[int]

    shelf: Mapped[Shelf] = relationship()


class Loan(Base):
    """A tool that went out; still out while `returned_on` is empty."""

    __tablename__ = "loans"
    __table_args__ = (
        CheckConstraint("due_on > lent_on", name="due_after_lent"),
        CheckConstraint("returned_on >= lent_on", name="returned_after_lent"),
        # The rule that matters: a tool cannot be in two houses at once.
        Index(
            "uq_loans_tool_id_open",
            "tool_id",
            unique=True,
            postgresql_where=text("returned_on IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    tool_id: Mapped[int] = mapped_column(ForeignKey("tools.id"), index=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    lent_on: Mapped[dt.date]
    due_on: Mapped[dt.date]
    returned_on: Mapped[dt.date | None]
    purpose: Mapped[str]

    tool: Mapped[Tool] = relationship()
    member: Mapped[Member] = relationship()


class DeskNote(Base):
    """What was pencilled at the desk: a repair (`condition`) or who wants it next (`asks`)."""

    __tablename__ = "desk_notes"
    __table_args__ = (CheckConstraint("kind IN ('condition', 'asks')", name="kind"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    tool_id: Mapped[int] = mapped_column(ForeignKey("tools.id"), index=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    kind: Mapped[str]
    body: Mapped[str]
    written_on: Mapped[dt.date]

    member: Mapped[Member] = relationship()


class Reservation(Base):
    """A neighbour's turn with a tool, for as long as that tool is usually lent."""

    __tablename__ = "reservations"
    __table_args__ = (
        CheckConstraint("ends_on > starts_on", name="ends_after_start"),
        UniqueConstraint("tool_id", "starts_on", name="uq_reservations_tool_id"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    tool_id: Mapped[int] = mapped_column(ForeignKey("tools.id"))
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    starts_on: Mapped[dt.date]
    ends_on: Mapped[dt.date]
    placed_on: Mapped[dt.date]
    purpose: Mapped[str]

    tool: Mapped[Tool] = relationship()
    member: Mapped[Member] = relationship()
