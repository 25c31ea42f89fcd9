"""Tokens, sessions and sign-in links; the audit log; answers kept for repeated requests.

Of a secret only its SHA-256 is kept: secrets are 256 random bits, so a slow hash adds nothing.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_UP = r"""
CREATE TABLE tokens (
    token_id text PRIMARY KEY CHECK (token_id ~ '^[a-z2-7]{8}$'),
    kind text NOT NULL CHECK (kind IN ('token', 'session', 'link')),
    digest bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
    scope text NOT NULL CHECK (scope IN ('read', 'run', 'operate')),
    run_id text CHECK (run_id ~ '^[A-Za-z0-9][A-Za-z0-9-]{0,63}$'),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text NOT NULL,
    expires_at timestamptz NOT NULL,
    last_used_at timestamptz,
    ended_at timestamptz,
    CHECK (run_id IS NULL OR scope <> 'operate')
);
CREATE INDEX tokens_expiry ON tokens (expires_at);

CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    who text NOT NULL,
    action text NOT NULL,
    slot_id text,
    run_id text,
    publish_id text,
    request jsonb NOT NULL DEFAULT '{}',
    status integer NOT NULL,
    error text,
    before jsonb,
    after jsonb
);
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION events_are_append_only();

CREATE TABLE kept_answers (
    who text NOT NULL,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 200),
    request bytea NOT NULL CHECK (length(request) = 32),
    status integer,
    media_type text,
    body bytea,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (who, key),
    CHECK ((status IS NULL) = (body IS NULL))
);
CREATE INDEX kept_answers_age ON kept_answers (begun_at);
"""

_DOWN = "DROP TABLE kept_answers, audit_log, tokens"


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    op.execute(_DOWN)
