"""A session that was made with a token ends with it."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE tokens ADD COLUMN parent_id text REFERENCES tokens ON DELETE CASCADE "
        "CHECK (parent_id IS NULL OR kind = 'session')"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE tokens DROP COLUMN parent_id")
