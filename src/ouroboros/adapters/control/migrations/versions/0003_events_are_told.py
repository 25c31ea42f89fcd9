"""Every event is told to whoever listens, by the number of its row.

A trigger and not the code that appends: whoever writes an event, it is on the page at once. The
notice goes out when the transaction commits, so a listener always finds the row.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_UP = r"""
CREATE FUNCTION tell_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('ouroboros_events', NEW.id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER events_are_told AFTER INSERT ON events
    FOR EACH ROW EXECUTE FUNCTION tell_event();
CREATE INDEX events_by_run ON events (run_id, id DESC);
CREATE INDEX publishes_by_run ON publishes (run_id, seq DESC);
"""

_DOWN = """
DROP INDEX publishes_by_run;
DROP INDEX events_by_run;
DROP TRIGGER events_are_told ON events;
DROP FUNCTION tell_event;
"""


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    op.execute(_DOWN)
