"""Pull requests of git hosts, and the webhooks that told of them.

A row says what is wanted of a pull request, what has been done for it, and what its git host was
told. `*_after` is when somebody may look again: set ahead by whoever takes the row, so that one
who died over it is followed by the next.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_UP = r"""
CREATE TABLE pull_requests (
    run_id text PRIMARY KEY REFERENCES runs,
    git_host text NOT NULL CHECK (git_host IN ('github', 'gitea', 'gitlab')),
    repository text NOT NULL,
    number bigint NOT NULL CHECK (number BETWEEN 1 AND 999999999999),
    is_open boolean NOT NULL,
    head_sha text NOT NULL CHECK (head_sha ~ '^[0-9a-f]{40}$'),
    branch text NOT NULL,
    from_fork boolean NOT NULL,
    url text NOT NULL,
    changed_at timestamptz NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    approved_sha text,
    approved_by text,
    asked_sha text,
    done_sha text,
    released boolean NOT NULL,
    problem jsonb,
    follow_after timestamptz NOT NULL DEFAULT clock_timestamp(),
    follow_attempts integer NOT NULL DEFAULT 0,
    comment_id text,
    sent_comment text,
    sent_status text,
    counts jsonb,
    reported_event bigint NOT NULL DEFAULT 0,
    report_settled boolean NOT NULL DEFAULT false,
    report_after timestamptz NOT NULL DEFAULT clock_timestamp(),
    report_attempts integer NOT NULL DEFAULT 0,
    report_problem jsonb,
    look_again_at timestamptz,
    UNIQUE (git_host, repository, number),
    CHECK ((approved_sha IS NULL) = (approved_by IS NULL))
);
CREATE INDEX pull_requests_to_follow ON pull_requests (follow_after)
    WHERE is_open OR NOT released;
CREATE INDEX pull_requests_to_report ON pull_requests (report_after) WHERE NOT report_settled;

CREATE TABLE webhook_deliveries (
    git_host text NOT NULL,
    repository text NOT NULL,
    delivery_id text NOT NULL CHECK (length(delivery_id) BETWEEN 1 AND 255),
    digest bytea NOT NULL CHECK (length(digest) = 32),
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (git_host, repository, delivery_id),
    UNIQUE (git_host, repository, digest)
);
CREATE INDEX webhook_deliveries_age ON webhook_deliveries (received_at);
"""

_DOWN = "DROP TABLE webhook_deliveries, pull_requests"


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    op.execute(_DOWN)
