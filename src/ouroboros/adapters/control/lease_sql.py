"""Every statement about leases, by name; `leases` runs them."""

REGISTER_HOST = "INSERT INTO hosts (host) VALUES (%(host)s) ON CONFLICT DO NOTHING"
REGISTER_SLOT = """
    INSERT INTO slots (slot_id, slot_num, host) VALUES (%(slot_id)s, %(number)s, %(host)s)
    ON CONFLICT (slot_id) DO UPDATE SET in_pool = true, host = EXCLUDED.host
    WHERE NOT slots.in_pool OR slots.host <> EXCLUDED.host
"""
RETIRE_SLOTS = """
    UPDATE slots SET in_pool = false WHERE host = %(host)s AND in_pool AND slot_id <> ALL(%(ids)s)
"""
ENQUEUE = """
    INSERT INTO runs AS r (run_id, branch, priority, state, queue_seq, waiting_since)
    VALUES (%(run_id)s, %(branch)s, %(priority)s, 'waiting', nextval('queue_order'),
            clock_timestamp())
    ON CONFLICT (run_id) DO UPDATE
    SET branch = EXCLUDED.branch, priority = EXCLUDED.priority, state = 'waiting',
        queue_seq = EXCLUDED.queue_seq, waiting_since = EXCLUDED.waiting_since
    WHERE r.state IN ('new', 'ended')
    RETURNING run_id
"""
TURNSTILE = "SELECT 1 FROM hosts WHERE host = %(host)s FOR UPDATE"
BRIDGE_GAP = """
    UPDATE slots SET expires_at = expires_at + gap, leased_at = leased_at + gap,
        heartbeat_at = heartbeat_at + gap
    FROM (SELECT lease_time_gap(%(host)s) AS gap) look
    WHERE host = %(host)s AND lease_state = 'leased' AND gap <> interval '0'
    RETURNING slot_id, run_id, fence, extract(epoch FROM gap)::float AS gap_s
"""
TELL_ALIVE = "UPDATE hosts SET worker_at = clock_timestamp() WHERE host = %(host)s"
LOOK = "UPDATE hosts SET looked_at = clock_timestamp() WHERE host = %(host)s"
EXPIRE = """
    WITH overdue AS (
        SELECT slot_id, run_id, leased_at FROM slots
        WHERE host = %(host)s AND lease_state = 'leased'
            AND (expires_at <= clock_timestamp() OR NOT in_pool)
        FOR UPDATE
    ), ended AS (
        UPDATE runs SET state = 'ended' FROM overdue WHERE runs.run_id = overdue.run_id
    ), stopped AS (
        UPDATE publishes SET cancel_requested = true,
            state = CASE state WHEN 'queued' THEN 'cancelled' ELSE state END,
            finished_at = CASE state WHEN 'queued' THEN clock_timestamp() END
        FROM overdue
        WHERE publishes.run_id = overdue.run_id AND publishes.state IN ('queued', 'running')
    )
    UPDATE slots s SET lease_state = 'expired', run_id = NULL, leased_at = NULL,
        expires_at = NULL, claimed = false
    FROM overdue WHERE s.slot_id = overdue.slot_id
    RETURNING s.slot_id, overdue.run_id, s.fence,
        extract(epoch FROM clock_timestamp() - overdue.leased_at)::float AS held_s
"""
GRANT = """
    WITH free AS (
        SELECT slot_id, row_number() OVER (ORDER BY slot_num) AS turn FROM slots
        WHERE host = %(host)s AND in_pool AND lease_state IS DISTINCT FROM 'leased'
            AND locked_at IS NULL
    ), queue AS (
        SELECT run_id, row_number() OVER (ORDER BY priority DESC, queue_seq) AS turn FROM runs
        WHERE state = 'waiting'
    ), pairs AS (SELECT slot_id, run_id FROM free JOIN queue USING (turn)),
    activated AS (
        UPDATE runs SET state = 'active', queue_seq = NULL, waiting_since = NULL
        FROM pairs WHERE runs.run_id = pairs.run_id
    )
    UPDATE slots s SET lease_state = 'leased', run_id = pairs.run_id, fence = s.fence + 1,
        leased_at = clock_timestamp(), heartbeat_at = NULL, claimed = false, live_publish = NULL,
        expires_at = clock_timestamp() + make_interval(secs => %(claim_ttl_s)s)
    FROM pairs WHERE s.slot_id = pairs.slot_id
    RETURNING s.slot_id, s.run_id, s.fence
"""
LOCK_LEASE_OF_RUN = """
    SELECT slot_id FROM slots WHERE run_id = %(run_id)s AND lease_state = 'leased' FOR UPDATE
"""
EXTEND = """
    UPDATE slots SET claimed = true, heartbeat_at = lease_now(host),
        expires_at = greatest(expires_at, lease_now(host) + make_interval(secs => %(ttl_s)s))
    WHERE slot_id = %(slot_id)s AND run_id = %(run_id)s AND lease_state = 'leased'
        AND expires_at > lease_now(host)
    RETURNING slot_id, slot_num, run_id, fence, leased_at, expires_at, reset_fence
"""
LOCK_SLOT = """
    SELECT slot_id, run_id, lease_state,
        extract(epoch FROM clock_timestamp() - leased_at)::float AS held_s
    FROM slots WHERE slot_id = %(slot_id)s FOR UPDATE
"""
RELEASE = """
    WITH released AS (
        UPDATE slots SET lease_state = 'released', run_id = NULL, leased_at = NULL,
            expires_at = NULL, claimed = false
        WHERE slot_id = %(slot_id)s AND run_id = %(run_id)s AND lease_state = 'leased'
            AND fence = coalesce(%(fence)s, fence)
        RETURNING fence
    ), ended AS (
        UPDATE runs SET state = 'ended' FROM released WHERE run_id = %(run_id)s
    )
    SELECT fence FROM released
"""
_ACTIVE_AT = """
    greatest(s.leased_at, s.heartbeat_at, (
        SELECT max(greatest(p.queued_at, p.finished_at)) FROM publishes p
        WHERE p.slot_id = s.slot_id AND p.fence = s.fence))
"""
_IS_IDLE = f"""
    s.lease_state = 'leased' AND s.in_pool AND s.claimed AND s.locked_at IS NULL
    AND {_ACTIVE_AT} < clock_timestamp() - make_interval(secs => %(idle_s)s)
    AND NOT EXISTS (SELECT 1 FROM publishes p
        WHERE p.slot_id = s.slot_id AND p.state IN ('queued', 'running'))
"""  # noqa: S608 - both parts stand above
IDLE = f"""
    SELECT s.slot_id, s.fence FROM slots s WHERE s.host = %(host)s AND {_IS_IDLE}
    ORDER BY {_ACTIVE_AT}
"""  # noqa: S608 - both parts stand above
WANTED = """
    SELECT (SELECT count(*) FROM runs WHERE state = 'waiting') - (
        SELECT count(*) FROM slots WHERE host = %(host)s AND in_pool
            AND lease_state IS DISTINCT FROM 'leased' AND locked_at IS NULL) AS wanted
"""
EVICT = f"""
    WITH idle AS (
        SELECT s.slot_id, s.run_id, s.leased_at FROM slots s
        WHERE s.slot_id = %(slot_id)s AND s.fence = %(fence)s AND {_IS_IDLE} FOR UPDATE
    ), ended AS (
        UPDATE runs SET state = 'ended' FROM idle WHERE runs.run_id = idle.run_id
    )
    UPDATE slots s SET lease_state = 'expired', run_id = NULL, leased_at = NULL,
        expires_at = NULL, claimed = false
    FROM idle WHERE s.slot_id = idle.slot_id
    RETURNING s.slot_id, idle.run_id, s.fence,
        extract(epoch FROM clock_timestamp() - idle.leased_at)::float AS held_s
"""  # noqa: S608 - the part stands above
ENDED = """
    SELECT slot_id, fence FROM slots
    WHERE host = %(host)s AND in_pool AND lease_state IS DISTINCT FROM 'leased'
"""
LEAVE_QUEUE = """
    UPDATE runs SET state = 'ended', queue_seq = NULL, waiting_since = NULL
    WHERE run_id = %(run_id)s AND state = 'waiting' RETURNING run_id
"""
POSITION = """
    SELECT count(*) AS position FROM runs ahead, runs own
    WHERE own.run_id = %(run_id)s AND own.state = 'waiting' AND ahead.state = 'waiting'
        AND (ahead.priority, -ahead.queue_seq) >= (own.priority, -own.queue_seq)
"""
HOLDERS = """
    SELECT slot_id, run_id, leased_at, expires_at FROM slots
    WHERE lease_state = 'leased' AND in_pool AND locked_at IS NULL ORDER BY slot_num
"""
MARK_RESET = """
    UPDATE slots SET reset_fence = %(fence)s
    WHERE slot_id = %(slot_id)s AND fence = %(fence)s AND lease_state = 'leased' RETURNING slot_id
"""
HOLD_FENCE = """
    SELECT slot_id FROM slots
    WHERE slot_id = %(slot_id)s AND fence = %(fence)s AND lease_state = 'leased'
        AND expires_at > lease_now(host)
    FOR SHARE
"""
NOTIFY = "SELECT pg_notify(%(channel)s, %(payload)s)"
