"""Reservations, and how long each tool is usually lent.

Until now a wish was a pencilled note at the desk. The notes become reservations, one after the
other from the day after the tool is due. How long each tool is usually lent is read off its
past loans.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_USUAL_DAYS = """
    UPDATE tools SET loan_days = COALESCE(
        (SELECT mode() WITHIN GROUP (ORDER BY due_on - lent_on)
         FROM loans WHERE loans.tool_id = tools.id),
        7)
"""
_NOTES_TO_RESERVATIONS = """
    INSERT INTO reservations (tool_id, member_id, starts_on, ends_on, placed_on, purpose)
    SELECT tool_id, member_id, starts_on, starts_on + loan_days, written_on, body
    FROM (
        SELECT note.*, tools.loan_days,
               GREATEST(loans.due_on, desk.today) + 1
               + (row_number() OVER queue - 1)::integer * (tools.loan_days + 1) AS starts_on
        FROM desk_notes AS note
        JOIN tools ON tools.id = note.tool_id
        CROSS JOIN desk
        LEFT JOIN loans ON loans.tool_id = note.tool_id AND loans.returned_on IS NULL
        WHERE note.kind = 'asks'
        WINDOW queue AS (PARTITION BY note.tool_id ORDER BY note.written_on, note.id)
    ) AS queued
    ORDER BY starts_on, tool_id
"""
_RESERVATIONS_TO_NOTES = """
    INSERT INTO desk_notes (tool_id, member_id, kind, body, written_on)
    SELECT tool_id, member_id, 'asks', purpose, placed_on FROM reservations ORDER BY id
"""


def upgrade() -> None:
    op.add_column("tools", sa.Column("loan_days", sa.Integer(), nullable=True))
    op.execute(_USUAL_DAYS)
    op.alter_column("tools", "loan_days", nullable=False)
    op.create_check_constraint("loan_days", "tools", "loan_days > 0")
    op.create_table(
        "reservations",
        sa.Column("id", sa.Integer(), sa.Identity(), nullable=False),
        sa.Column("tool_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("placed_on", sa.Date(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reservations"),
        sa.ForeignKeyConstraint(["tool_id"], ["tools.id"], name="fk_reservations_tool_id"),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name="fk_reservations_member_id"),
        sa.UniqueConstraint("tool_id", "starts_on", name="uq_reservations_tool_id"),
        sa.CheckConstraint("ends_on > starts_on", name="ends_after_start"),
    )
    op.create_index("ix_reservations_member_id", "reservations", ["member_id"])
    op.execute(_NOTES_TO_RESERVATIONS)
    op.execute("DELETE FROM desk_notes WHERE kind = 'asks'")


def downgrade() -> None:
    op.execute(_RESERVATIONS_TO_NOTES)
    op.drop_table("reservations")
    # The check goes with its column.
    op.drop_column("tools", "loan_days")
