"""When the worker of a host last went round its loop.

Beside `looked_at`, which a timer and an operator bring forward, too: this one stands still as soon
as the worker does.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE hosts ADD worker_at timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE hosts DROP worker_at")
