"""The output of publishes, part by part, as whoever watches one reads it.

`seq` is the byte offset in the publish's whole log at which the part ends: it only rises, says
where to go on reading, and makes it impossible to store a part twice.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE publish_output (
            publish_id text NOT NULL REFERENCES publishes,
            seq bigint NOT NULL CHECK (seq > 0),
            step text,
            at timestamptz NOT NULL DEFAULT clock_timestamp(),
            chunk text NOT NULL,
            PRIMARY KEY (publish_id, seq)
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE publish_output")
