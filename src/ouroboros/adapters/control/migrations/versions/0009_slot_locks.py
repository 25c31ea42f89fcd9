"""Slots that an operator has locked: nobody is given them until they are unlocked.

The lock is no lease: who holds the slot keeps it to the end, and a locked slot keeps its fence.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        ALTER TABLE slots ADD locked_at timestamptz, ADD locked_by text, ADD locked_reason text,
            ADD CHECK ((locked_at IS NULL) = (locked_by IS NULL)
                AND (locked_at IS NULL) = (locked_reason IS NULL))
    """)


def downgrade() -> None:
    op.execute("ALTER TABLE slots DROP locked_at, DROP locked_by, DROP locked_reason")
