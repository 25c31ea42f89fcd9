"""The time of leases: PostgreSQL's clock, as long as it goes evenly.

`hosts.looked_at` is when somebody last looked for overdue leases, which the worker does every two
seconds. A gap in it is time in which no lease could be extended, or no time at all but a step of
the clock. It counts for no lease.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_UP = r"""
ALTER TABLE hosts ADD looked_at timestamptz NOT NULL DEFAULT clock_timestamp();
CREATE FUNCTION lease_time_gap(of_host text) RETURNS interval LANGUAGE sql VOLATILE AS $$
    SELECT CASE WHEN gap BETWEEN interval '-5 seconds' AND interval '30 seconds'
        THEN interval '0' ELSE gap END
    FROM (SELECT clock_timestamp() - looked_at AS gap FROM hosts WHERE host = of_host) look
$$;
CREATE FUNCTION lease_now(of_host text) RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT clock_timestamp() - lease_time_gap(of_host)
$$;
"""

_DOWN = """
DROP FUNCTION lease_now, lease_time_gap;
ALTER TABLE hosts DROP looked_at;
"""


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    op.execute(_DOWN)
