"""The wall, the neighbours and the loans."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "desk",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("season", sa.Text(), nullable=False),
        sa.Column("season_name", sa.Text(), nullable=False),
        sa.Column("strapline", sa.Text(), nullable=False),
        sa.Column("today", sa.Date(), nullable=False),
        sa.CheckConstraint("id = 1", name="one_row"),
        sa.PrimaryKeyConstraint("id", name="pk_desk"),
    )
    op.create_table(
        "shelves",
        sa.Column("id", sa.Integer(), sa.Identity(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_shelves"),
        sa.UniqueConstraint("slug", name="uq_shelves_slug"),
    )
    op.create_table(
        "members",
        sa.Column("id", sa.Integer(), sa.Identity(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("street", sa.Text(), nullable=False),
        sa.Column("joined_on", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_members"),
        sa.UniqueConstraint("name", name="uq_members_name"),
    )
    op.create_table(
        "tools",
        sa.Column("id", sa.Integer(), sa.Identity(), nullable=False),
        sa.Column("shelf_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("maker", sa.Text(), nullable=False),
        sa.Column("glyph", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("acquired_on", sa.Date(), nullable=False),
        sa.Column("given_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_tools"),
        sa.ForeignKeyConstraint(["shelf_id"], ["shelves.id"], name="fk_tools_shelf_id"),
    )
    op.create_index("ix_tools_shelf_id", "tools", ["shelf_id"])
    op.create_table(
        "loans",
        sa.Column("id", sa.Integer(), sa.Identity(), nullable=False),
        sa.Column("tool_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("lent_on", sa.Date(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("returned_on", sa.Date(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_loans"),
        sa.ForeignKeyConstraint(["tool_id"], ["tools.id"], name="fk_loans_tool_id"),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name="fk_loans_member_id"),
        sa.CheckConstraint("due_on > lent_on", name="due_after_lent"),
        sa.CheckConstraint("returned_on >= lent_on", name="returned_after_lent"),
    )
    op.create_index("ix_loans_tool_id", "loans", ["tool_id"])
    op.create_index("ix_loans_member_id", "loans", ["member_id"])
    op.create_index(
        "uq_loans_tool_id_open",
        "loans",
        ["tool_id"],
        unique=True,
        postgresql_where=sa.text("returned_on IS NULL"),
    )


def downgrade() -> None:
    for table in ("loans", "tools", "members", "shelves", "desk"):
        op.drop_table(table)
