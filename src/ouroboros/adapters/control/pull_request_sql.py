"""Every statement about pull requests and webhooks, by name; `pull_requests` runs them."""

FORGET_DELIVERIES = """
    DELETE FROM webhook_deliveries WHERE received_at < clock_timestamp() - interval '90 days'
"""
KEEP_DELIVERY = """
    INSERT INTO webhook_deliveries (git_host, repository, delivery_id, digest)
    VALUES (%(git_host)s, %(repository)s, %(delivery_id)s, %(digest)s)
    ON CONFLICT DO NOTHING RETURNING delivery_id
"""
KEEP_RUN = """
    INSERT INTO runs AS r (run_id, branch, priority) VALUES (%(run_id)s, %(branch)s, %(priority)s)
    ON CONFLICT (run_id) DO UPDATE SET branch = EXCLUDED.branch
"""
KEEP = """
    INSERT INTO pull_requests AS p (run_id, git_host, repository, number, is_open, head_sha,
        branch, from_fork, url, changed_at, released)
    VALUES (%(run_id)s, %(git_host)s, %(repository)s, %(number)s, %(is_open)s, %(head_sha)s,
        %(branch)s, %(from_fork)s, %(url)s, %(changed_at)s, NOT %(is_open)s)
    ON CONFLICT (run_id) DO UPDATE SET is_open = EXCLUDED.is_open, head_sha = EXCLUDED.head_sha,
        branch = EXCLUDED.branch, from_fork = EXCLUDED.from_fork, url = EXCLUDED.url,
        changed_at = EXCLUDED.changed_at, released = p.released AND NOT EXCLUDED.is_open,
        -- One that is opened again may have lost its slot already.
        done_sha = CASE WHEN p.is_open THEN p.done_sha END,
        asked_sha = CASE WHEN p.is_open THEN p.asked_sha END,
        problem = CASE WHEN p.is_open THEN p.problem END,
        follow_after = clock_timestamp(), follow_attempts = 0, report_settled = false
    WHERE p.changed_at <= EXCLUDED.changed_at
    RETURNING from_fork AND approved_sha IS DISTINCT FROM head_sha AS waits_for_approval
"""
_SHOWN = """
    p.run_id, p.git_host, p.repository, p.number, p.is_open, p.head_sha, p.branch, p.from_fork,
    p.approved_sha, p.asked_sha, p.done_sha, p.problem, p.comment_id, p.sent_comment,
    p.sent_status, p.counts, p.report_attempts,
    coalesce((SELECT max(e.id) FROM events e WHERE e.run_id = p.run_id), 0) AS last_event
"""
GET = f"SELECT {_SHOWN} FROM pull_requests p WHERE p.run_id = %(run_id)s"  # noqa: S608 - see above
LIST = """
    SELECT p.run_id, p.git_host, p.repository, p.number, p.url, p.is_open, p.head_sha, p.branch,
        p.from_fork, p.is_open AND p.from_fork AND p.approved_sha IS DISTINCT FROM p.head_sha
            AS waits_for_approval,
        p.approved_sha, p.approved_by, p.done_sha, p.problem, p.report_problem, p.changed_at,
        r.state AS run_state, s.slot_id, s.expires_at
    FROM pull_requests p JOIN runs r USING (run_id)
    LEFT JOIN slots s ON s.run_id = p.run_id AND s.lease_state = 'leased'
    WHERE (%(is_open)s::boolean IS NULL OR p.is_open = %(is_open)s)
    ORDER BY p.is_open DESC, p.changed_at DESC, p.run_id LIMIT %(limit)s
"""
APPROVE = """
    UPDATE pull_requests SET approved_sha = %(head_sha)s, approved_by = %(by)s,
        follow_after = clock_timestamp(), follow_attempts = 0
    WHERE run_id = %(run_id)s AND is_open AND head_sha = %(head_sha)s
    RETURNING run_id
"""
AWAKEN = "UPDATE pull_requests SET follow_after = clock_timestamp() WHERE is_open OR NOT released"
_IS_TO_FOLLOW = """
    (w.is_open AND w.done_sha IS DISTINCT FROM w.head_sha
        AND (NOT w.from_fork OR w.approved_sha IS NOT DISTINCT FROM w.head_sha)
        -- In the queue for this commit there is nothing to do until its turn comes.
        AND NOT (w.asked_sha IS NOT DISTINCT FROM w.head_sha
            AND EXISTS (SELECT 1 FROM runs r WHERE r.run_id = w.run_id AND r.state = 'waiting')))
    OR (NOT w.is_open AND NOT w.released)
"""
TAKE_TO_FOLLOW = f"""
    UPDATE pull_requests p SET follow_after = clock_timestamp() + interval '15 minutes'
    WHERE p.run_id = (
        SELECT w.run_id FROM pull_requests w
        WHERE w.follow_after <= clock_timestamp() AND (w.is_open OR NOT w.released)
            AND ({_IS_TO_FOLLOW}) AND w.git_host || ' ' || w.repository = ANY(%(keys)s)
        ORDER BY w.is_open, w.follow_after LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING {_SHOWN}
"""  # noqa: S608 - both parts stand above
WAITS = """
    UPDATE pull_requests SET asked_sha = %(sha)s, follow_after = clock_timestamp()
    WHERE run_id = %(run_id)s
"""
DONE = """
    UPDATE pull_requests SET done_sha = %(sha)s, asked_sha = NULL, problem = %(problem)s,
        follow_attempts = 0, follow_after = clock_timestamp()
    WHERE run_id = %(run_id)s
"""
RELEASED = """
    UPDATE pull_requests SET released = true, done_sha = NULL, asked_sha = NULL, problem = NULL,
        follow_attempts = 0, follow_after = clock_timestamp()
    WHERE run_id = %(run_id)s AND NOT is_open RETURNING run_id
"""
RETRY = """
    UPDATE pull_requests SET follow_attempts = follow_attempts + 1,
        follow_after = clock_timestamp()
            + least(2 ^ least(follow_attempts, 10), 300) * interval '1 second'
    WHERE run_id = %(run_id)s
"""
TAKE_TO_REPORT = f"""
    UPDATE pull_requests p SET report_after = clock_timestamp() + interval '5 minutes'
    WHERE p.run_id = (
        SELECT w.run_id FROM pull_requests w
        WHERE NOT w.report_settled AND w.report_after <= clock_timestamp()
            AND w.git_host || ' ' || w.repository = ANY(%(keys)s)
            AND (w.look_again_at <= clock_timestamp() OR
                w.reported_event < (SELECT max(e.id) FROM events e WHERE e.run_id = w.run_id))
        ORDER BY w.report_after LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING {_SHOWN}
"""  # noqa: S608 - the part stands above
SENT_STATUS = "UPDATE pull_requests SET sent_status = %(text)s WHERE run_id = %(run_id)s"
SENT_COMMENT = """
    UPDATE pull_requests SET comment_id = %(comment_id)s, sent_comment = %(text)s
    WHERE run_id = %(run_id)s
"""
REPORTED = """
    UPDATE pull_requests SET reported_event = %(last_event)s, report_attempts = 0,
        report_problem = NULL,
        look_again_at = clock_timestamp() + %(look_again_s)s * interval '1 second',
        -- Not by what has happened since it was looked at.
        report_settled = NOT is_open AND released AND %(last_event)s >= coalesce(
            (SELECT max(e.id) FROM events e WHERE e.run_id = pull_requests.run_id), 0),
        report_after = clock_timestamp() + interval '500 milliseconds'
    WHERE run_id = %(run_id)s
"""
REPORT_FAILED = """
    UPDATE pull_requests SET report_attempts = report_attempts + 1, report_problem = %(problem)s,
        report_after = clock_timestamp() + greatest(%(wait_s)s,
            least(5 * 2 ^ least(report_attempts, 12), 3600)) * interval '1 second'
    WHERE run_id = %(run_id)s
"""
COUNTED = """
    UPDATE pull_requests SET counts = %(counts)s, look_again_at = clock_timestamp(),
        report_after = clock_timestamp()
    WHERE run_id = %(run_id)s
"""
NOTIFY = "SELECT pg_notify(%(channel)s, %(payload)s)"
