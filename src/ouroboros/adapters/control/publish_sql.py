"""Every statement about publishes, by name; `publishes` runs them."""

LEASE_OF_RUN = """
    SELECT slot_id, fence FROM slots WHERE run_id = %(run_id)s AND lease_state = 'leased'
        AND expires_at > lease_now(host) AND reset_fence = fence
    FOR UPDATE
"""
SUPERSEDE_QUEUED = """
    UPDATE publishes SET state = 'superseded', finished_at = clock_timestamp()
    WHERE run_id = %(run_id)s AND state = 'queued'
"""
SUPERSEDE_RUNNING = """
    UPDATE publishes SET cancel_requested = true, details = details || '{"superseded": true}'
    WHERE run_id = %(run_id)s AND state = 'running'
"""
QUEUE = """
    INSERT INTO publishes (run_id, slot_id, fence, repo, ref, pipeline_version, details)
    VALUES (%(run_id)s, %(slot_id)s, %(fence)s, %(repo)s, %(ref)s, %(version)s,
        jsonb_strip_nulls(jsonb_build_object('prebuilt', %(prebuilt)s::text)))
    RETURNING publish_id
"""
QUEUE_ROLLBACK = """
    INSERT INTO publishes
        (run_id, slot_id, fence, repo, ref, commit_sha, pipeline_version, details)
    SELECT t.run_id, t.slot_id, t.fence, t.repo, t.ref, t.commit_sha, %(version)s,
        jsonb_build_object('rollback_to', t.publish_id, 'with_database', %(with_database)s::bool)
    FROM publishes t WHERE t.publish_id = %(target)s
    RETURNING publish_id
"""
LEASE_AND_LIVE = """
    SELECT slot_id, fence, run_id, live_publish FROM slots
    WHERE slot_id = %(slot_id)s AND lease_state = 'leased' FOR UPDATE
"""
RELEASES = """
    SELECT p.* FROM publishes p JOIN slots s USING (slot_id)
    WHERE p.slot_id = %(slot_id)s AND p.state = 'ready' AND p.fence = s.fence
        AND s.lease_state = 'leased' AND NOT p.details ? 'rollback_to'
    ORDER BY p.seq DESC
"""
CLAIM = """
    UPDATE publishes SET state = 'running', started_at = clock_timestamp()
    WHERE publish_id = (
        SELECT p.publish_id FROM publishes p
        WHERE p.state = 'queued' AND p.slot_id = ANY(%(ids)s) AND NOT EXISTS (
            SELECT 1 FROM publishes r WHERE r.slot_id = p.slot_id AND r.state = 'running')
        ORDER BY p.seq LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING *
"""
RUNNING = """
    SELECT * FROM publishes WHERE state = 'running' AND slot_id = ANY(%(ids)s) ORDER BY seq
"""
BEGIN_STEPS_AGAIN = """
    UPDATE publish_steps s SET state = 'running', finished_at = NULL FROM publishes p
    WHERE p.publish_id = s.publish_id AND p.state = 'running' AND s.state = 'done'
        AND p.pipeline_version <> %(version)s AND NOT p.details ? 'ending'
"""
ADOPT = """
    UPDATE publishes SET pipeline_version = %(version)s
    WHERE state = 'running' AND pipeline_version <> %(version)s
"""
LIVE_LEASE = """
    SELECT 1 FROM slots WHERE slot_id = %(slot_id)s AND fence = %(fence)s
        AND lease_state = 'leased' FOR SHARE
"""
STILL_RUNNING = """
    SELECT cancel_requested, details ? 'superseded' AS superseded FROM publishes
    WHERE publish_id = %(publish_id)s AND state = 'running' FOR UPDATE
"""
SET_COMMIT = """
    UPDATE publishes SET commit_sha = %(commit)s
    WHERE publish_id = %(publish_id)s AND state = 'running'
"""
BEGIN_STEP = """
    INSERT INTO publish_steps AS s (publish_id, step, position, state, fence)
    VALUES (%(publish_id)s, %(step)s, %(position)s, 'running', %(fence)s)
    ON CONFLICT (publish_id, step) DO UPDATE
    SET state = 'running', attempts = s.attempts + 1, started_at = clock_timestamp(),
        finished_at = NULL
    RETURNING attempts
"""
END_STEP = """
    UPDATE publish_steps SET state = %(state)s, finished_at = clock_timestamp(),
        result = %(result)s
    WHERE publish_id = %(publish_id)s AND step = %(step)s
"""
# When one of its processes is killed, PostgreSQL starts the others anew but stays the same; its
# statistics are counted from that instant on (the manual, "The Cumulative Statistics System").
DATABASE_BEGAN_ANEW = """
    SELECT greatest(pg_postmaster_start_time(), (SELECT stats_reset FROM pg_stat_bgwriter))
        > COALESCE(
            (SELECT started_at FROM publish_steps
                WHERE publish_id = %(publish_id)s AND step = %(step)s),
            '-infinity') AS began_anew
"""
STEPS = """
    SELECT step, position, state, attempts, started_at, finished_at, result
    FROM publish_steps WHERE publish_id = %(publish_id)s ORDER BY position
"""
RECORD_ENDING = """
    UPDATE publishes SET details = details || jsonb_build_object('ending', %(ending)s::jsonb)
    WHERE publish_id = %(publish_id)s AND state = 'running'
"""
FINISH = """
    UPDATE publishes SET state = %(state)s, finished_at = clock_timestamp(),
        failed_step = %(failed_step)s, error = %(error)s
    WHERE publish_id = %(publish_id)s AND state IN ('queued', 'running')
    RETURNING publish_id
"""
GO_LIVE = "UPDATE slots SET live_publish = %(publish_id)s WHERE slot_id = %(slot_id)s"
CANCEL_ALL = """
    WITH dropped AS (
        UPDATE publishes SET state = 'cancelled', finished_at = clock_timestamp()
        WHERE slot_id = %(slot_id)s AND fence = %(fence)s AND state = 'queued'
    )
    UPDATE publishes SET cancel_requested = true
    WHERE slot_id = %(slot_id)s AND fence = %(fence)s AND state = 'running'
    RETURNING publish_id
"""
REQUEST_CANCEL = """
    UPDATE publishes SET cancel_requested = true,
        state = CASE state WHEN 'queued' THEN 'cancelled' ELSE state END,
        finished_at = CASE state WHEN 'queued' THEN clock_timestamp() END
    WHERE publish_id = %(publish_id)s AND state IN ('queued', 'running')
    RETURNING state
"""
FLAGS = """
    SELECT p.cancel_requested, p.details ? 'superseded' AS superseded,
        (s.fence = p.fence AND s.lease_state = 'leased') AS holds
    FROM publishes p JOIN slots s USING (slot_id) WHERE p.publish_id = %(publish_id)s
"""
KEEP_ALIVE = """
    UPDATE slots SET expires_at = greatest(
        expires_at, lease_now(host) + make_interval(secs => %(ttl_s)s))
    WHERE slot_id = %(slot_id)s AND fence = %(fence)s AND lease_state = 'leased'
        AND expires_at > lease_now(host)
"""
GET = "SELECT * FROM publishes WHERE publish_id = %(publish_id)s"
LIST = """
    SELECT * FROM publishes
    WHERE (%(slot_id)s::text IS NULL OR slot_id = %(slot_id)s)
        AND (%(run_id)s::text IS NULL OR run_id = %(run_id)s)
        AND (%(before)s::bigint IS NULL OR seq < %(before)s)
    ORDER BY seq DESC LIMIT %(limit)s
"""
NEXT_LEASE = """
    SELECT 1 FROM slots WHERE slot_id = %(slot_id)s AND fence = %(fence)s
        AND lease_state <> 'leased' FOR SHARE
"""
RECORD_ARTIFACT = """
    INSERT INTO artifacts
        (publish_id, run_id, slot_id, fence, name, media_type, size_bytes, sha256, path)
    VALUES (%(publish_id)s, %(run_id)s, %(slot_id)s, %(fence)s, %(name)s, %(media_type)s,
        %(size_bytes)s, %(sha256)s, %(path)s)
    ON CONFLICT (publish_id, name) DO UPDATE SET size_bytes = EXCLUDED.size_bytes,
        sha256 = EXCLUDED.sha256, created_at = clock_timestamp()
"""
ARTIFACTS = """
    SELECT name, media_type, size_bytes, sha256, path, slot_id, created_at FROM artifacts
    WHERE publish_id = %(publish_id)s ORDER BY id
"""
NOTIFY = "SELECT pg_notify(%(channel)s, %(payload)s)"

PUBLISHING = """
    SELECT 1 FROM publishes WHERE slot_id = %(slot_id)s AND state IN ('queued', 'running') LIMIT 1
"""
FORGET_ARTIFACTS = """
    WITH gone AS (DELETE FROM artifacts WHERE publish_id = ANY(%(names)s))
    UPDATE publishes SET details = details - 'picture' WHERE publish_id = ANY(%(names)s)
"""
KEPT = """
    SELECT coalesce(p.details ->> 'rollback_to', p.publish_id) AS publish_id FROM publishes p
    WHERE p.slot_id = %(slot_id)s AND p.state IN ('queued', 'running')
    UNION
    SELECT live_publish FROM slots WHERE slot_id = %(slot_id)s AND live_publish IS NOT NULL
    UNION
    (SELECT p.publish_id FROM publishes p JOIN slots s USING (slot_id)
     WHERE p.slot_id = %(slot_id)s AND p.state = 'ready' AND p.fence = s.fence
         AND s.lease_state = 'leased' AND NOT p.details ? 'rollback_to'
     ORDER BY p.seq DESC LIMIT %(keep)s)
"""
