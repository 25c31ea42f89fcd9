"""Sign-ins by a provider that were used: each makes one session.

Kept for a day, which is longer than any provider's code lives.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_UP = """
CREATE TABLE used_sign_ins (
    digest bytea PRIMARY KEY CHECK (length(digest) = 32),
    used_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
"""
_DOWN = "DROP TABLE used_sign_ins"


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    op.execute(_DOWN)
