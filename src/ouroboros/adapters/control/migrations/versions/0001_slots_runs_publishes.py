"""Slots, runs, publishes, resets, artifacts and events.

The lease stands on the slot's row, which is the mutex. Rules that matter are constraints: one
live lease per run, a fence that only rises, one running publish per slot, append-only events.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_UP = r"""
CREATE TABLE hosts (
    host text PRIMARY KEY,
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE runs (
    run_id text PRIMARY KEY CHECK (run_id ~ '^[A-Za-z0-9][A-Za-z0-9-]{0,63}$'),
    branch text NOT NULL,
    state text NOT NULL DEFAULT 'new'
        CHECK (state IN ('new', 'waiting', 'active', 'ended')),
    priority integer NOT NULL DEFAULT 0,
    queue_seq bigint,
    waiting_since timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((state = 'waiting') = (queue_seq IS NOT NULL)),
    CHECK ((state = 'waiting') = (waiting_since IS NOT NULL))
);
CREATE SEQUENCE queue_order;
CREATE INDEX runs_queue ON runs (priority DESC, queue_seq) WHERE state = 'waiting';

CREATE TABLE slots (
    slot_id text PRIMARY KEY,
    slot_num integer NOT NULL UNIQUE CHECK (slot_num BETWEEN 1 AND 999),
    host text NOT NULL REFERENCES hosts,
    in_pool boolean NOT NULL DEFAULT true,
    fence bigint NOT NULL DEFAULT 0 CHECK (fence >= 0),
    lease_state text CHECK (lease_state IN ('leased', 'released', 'expired')),
    run_id text REFERENCES runs,
    leased_at timestamptz,
    heartbeat_at timestamptz,
    expires_at timestamptz,
    claimed boolean NOT NULL DEFAULT false,
    reset_fence bigint NOT NULL DEFAULT 0,
    live_publish text,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (slot_id = 'preview-' || slot_num),
    CHECK ((lease_state IS NOT DISTINCT FROM 'leased')
           = (run_id IS NOT NULL AND expires_at IS NOT NULL AND leased_at IS NOT NULL)),
    CHECK (lease_state IS DISTINCT FROM 'leased' OR fence > 0),
    CHECK (reset_fence <= fence)
);
CREATE UNIQUE INDEX one_live_lease_per_run ON slots (run_id) WHERE lease_state = 'leased';

CREATE FUNCTION slots_keep_their_fence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a slot row holds its fence and is never deleted'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.fence < OLD.fence THEN
        RAISE EXCEPTION 'the fence of % only rises: % is below %', OLD.slot_id, NEW.fence, OLD.fence
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.lease_state = 'leased' AND NEW.run_id IS DISTINCT FROM OLD.run_id
       AND NEW.fence = OLD.fence THEN
        RAISE EXCEPTION 'a new lease of % needs a new fence', OLD.slot_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    NEW.changed_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER slots_fence BEFORE UPDATE OR DELETE ON slots
    FOR EACH ROW EXECUTE FUNCTION slots_keep_their_fence();

CREATE SEQUENCE publish_numbers;
CREATE TABLE publishes (
    seq bigint NOT NULL UNIQUE DEFAULT nextval('publish_numbers'),
    publish_id text PRIMARY KEY GENERATED ALWAYS AS ('p' || seq::text) STORED,
    run_id text NOT NULL REFERENCES runs,
    slot_id text NOT NULL REFERENCES slots,
    fence bigint NOT NULL CHECK (fence > 0),
    repo text NOT NULL,
    ref text NOT NULL,
    commit_sha text CHECK (commit_sha ~ '^[0-9a-f]{40}$'),
    state text NOT NULL DEFAULT 'queued' CHECK (state IN
        ('queued', 'running', 'ready', 'failed', 'superseded', 'cancelled')),
    cancel_requested boolean NOT NULL DEFAULT false,
    failed_step text,
    error jsonb,
    pipeline_version integer NOT NULL,
    queued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz,
    finished_at timestamptz,
    details jsonb NOT NULL DEFAULT '{}',
    CHECK ((state IN ('queued', 'running')) = (finished_at IS NULL))
);
ALTER TABLE slots ADD FOREIGN KEY (live_publish) REFERENCES publishes;
CREATE UNIQUE INDEX one_running_publish_per_slot ON publishes (slot_id) WHERE state = 'running';
CREATE INDEX publishes_queue ON publishes (seq) WHERE state = 'queued';
CREATE INDEX publishes_by_slot ON publishes (slot_id, seq DESC);

CREATE TABLE publish_steps (
    publish_id text NOT NULL REFERENCES publishes,
    step text NOT NULL,
    position integer NOT NULL,
    state text NOT NULL CHECK (state IN ('running', 'done', 'failed')),
    fence bigint NOT NULL,
    attempts integer NOT NULL DEFAULT 1,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    result jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (publish_id, step)
);

CREATE TABLE artifacts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    publish_id text REFERENCES publishes,
    run_id text,
    slot_id text NOT NULL,
    fence bigint NOT NULL,
    name text NOT NULL,
    media_type text NOT NULL,
    size_bytes bigint NOT NULL,
    sha256 text NOT NULL,
    path text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (publish_id, name)
);

CREATE TABLE preview_db_resets (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id text,
    slot_id text NOT NULL,
    db_name text NOT NULL,
    fence bigint NOT NULL DEFAULT 0,
    strategy text NOT NULL CHECK (strategy IN ('seed', 'snapshot')),
    seed_version text,
    snapshot_version text,
    reset_status text NOT NULL DEFAULT 'running'
        CHECK (reset_status IN ('running', 'completed', 'failed')),
    reset_started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reset_completed_at timestamptz,
    details jsonb NOT NULL DEFAULT '{}',
    CHECK ((reset_status = 'running') = (reset_completed_at IS NULL)),
    CHECK (strategy = 'snapshot' OR snapshot_version IS NULL),
    CHECK (strategy = 'seed' OR (seed_version IS NULL AND snapshot_version IS NOT NULL))
);
CREATE INDEX resets_by_slot ON preview_db_resets (slot_id, id DESC);
CREATE INDEX resets_running ON preview_db_resets (id) WHERE reset_status = 'running';

CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL,
    slot_id text,
    run_id text,
    publish_id text,
    fence bigint,
    details jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX events_by_slot ON events (slot_id, id DESC);
CREATE FUNCTION events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_are_append_only();
"""

_DOWN = """
ALTER TABLE slots DROP COLUMN live_publish;
DROP TABLE events, preview_db_resets, artifacts, publish_steps, publishes, slots, runs, hosts;
DROP SEQUENCE queue_order, publish_numbers;
DROP FUNCTION slots_keep_their_fence, events_are_append_only;
"""


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    op.execute(_DOWN)
