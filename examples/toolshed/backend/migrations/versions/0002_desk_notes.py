"""Notes pencilled at the desk."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "desk_notes",
        sa.Column("id", sa.Integer(), sa.Identity(), nullable=False),
        sa.Column("tool_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("written_on", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_desk_notes"),
        sa.ForeignKeyConstraint(["tool_id"], ["tools.id"], name="fk_desk_notes_tool_id"),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name="fk_desk_notes_member_id"),
        sa.CheckConstraint("kind IN ('condition', 'asks')", name="kind"),
    )
    op.create_index("ix_desk_notes_tool_id", "desk_notes", ["tool_id"])
    op.create_index("ix_desk_notes_member_id", "desk_notes", ["member_id"])


def downgrade() -> None:
    op.drop_table("desk_notes")
