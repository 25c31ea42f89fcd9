"""Restoring a control plane, as SQL: what is done before and after its tables are loaded.

All of it is one transaction, so the control plane is the old one or the restored one. What came
after the backup is lost to the tables, but not to the world: web roots and backends have seen
higher fences, names of publishes are on the disk, tokens were revoked. So nothing counts from
where the backup stood, and a lease is believed only where nothing says that it ended since.
"""

from collections.abc import Sequence
from dataclasses import dataclass

LEFT_OUT = ("ouroboros_password_is", "SCHEMA - public", "SCHEMA public")
"""What of a dump is not loaded: the superuser made it, and provisioning makes it again."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the files of a host say of a slot: its highest fence, and whether a release is live."""

    number: int
    fence: int
    serves: bool

    @property
    def slot_id(self) -> str:
        """The slot's identity."""
        return f"preview-{self.number}"


BEFORE = """
SET lock_timeout = '30s';
CREATE TEMP TABLE seen_slots (slot_id text, slot_num int, fence bigint, run_id text);
CREATE TEMP TABLE seen_numbers (name text, value bigint);
CREATE TEMP TABLE ended_tokens (token_id text, ended_at timestamptz);
DO $$
DECLARE each record;
BEGIN
    INSERT INTO seen_numbers SELECT sequencename, coalesce(last_value, 0) FROM pg_sequences
        WHERE schemaname = 'public';
    IF to_regclass('public.slots') IS NOT NULL THEN
        INSERT INTO seen_slots SELECT slot_id, slot_num, fence, run_id FROM public.slots;
    END IF;
    IF to_regclass('public.tokens') IS NOT NULL THEN
        INSERT INTO ended_tokens SELECT token_id, ended_at FROM public.tokens
            WHERE ended_at IS NOT NULL;
    END IF;
    FOR each IN
        SELECT format('DROP TABLE IF EXISTS public.%I CASCADE', tablename) AS run
            FROM pg_tables WHERE schemaname = 'public' AND tableowner = current_user
        UNION ALL
        SELECT format('DROP SEQUENCE IF EXISTS public.%I CASCADE', sequencename)
            FROM pg_sequences WHERE schemaname = 'public' AND sequenceowner = current_user
        UNION ALL
        SELECT format('DROP FUNCTION IF EXISTS %s CASCADE', oid::regprocedure)
            FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                AND proowner = current_user::regrole
    LOOP
        EXECUTE each.run;
    END LOOP;
END $$;
"""

_AFTER = """
SET search_path = public;
CREATE TEMP TABLE seen_files (slot_id text, slot_num int, fence bigint, serves boolean);
{files}
INSERT INTO hosts (host) VALUES ('{host}') ON CONFLICT DO NOTHING;
INSERT INTO slots (slot_id, slot_num, host, in_pool)
    SELECT slot_id, slot_num, '{host}', false FROM seen_files
    UNION SELECT slot_id, slot_num, '{host}', false FROM seen_slots
    ON CONFLICT DO NOTHING;
CREATE TEMP TABLE raised AS
    SELECT s.slot_id, s.run_id, s.fence AS old, s.lease_state = 'leased' AS leased,
        greatest(s.fence, table_.fence, files.fence) + 1 AS fence,
        coalesce(files.serves, false) AS serves,
        -- The slot's database is that of the lease only where this host has seen the lease.
        coalesce(files.fence = s.fence, false) AS entered,
        coalesce(s.lease_state = 'leased' AND coalesce(files.fence, 0) <= s.fence
            AND (coalesce(table_.fence, 0) < s.fence
                OR table_.fence = s.fence AND table_.run_id = s.run_id), false) AS kept
    FROM slots s LEFT JOIN seen_slots table_ USING (slot_id)
    LEFT JOIN seen_files files USING (slot_id);
UPDATE publishes SET state = 'cancelled', finished_at = clock_timestamp(),
    error = jsonb_build_object('error', 'restored', 'message', 'the control plane was restored')
    WHERE state IN ('queued', 'running');
UPDATE publish_steps SET state = 'failed', finished_at = clock_timestamp() WHERE state = 'running';
UPDATE preview_db_resets SET reset_status = 'failed', reset_completed_at = clock_timestamp(),
    details = details || jsonb_build_object('error', 'restored') WHERE reset_status = 'running';
UPDATE publish_steps SET fence = raised.fence FROM publishes p, raised
    WHERE p.publish_id = publish_steps.publish_id AND kept AND p.slot_id = raised.slot_id
        AND publish_steps.fence = old;
UPDATE artifacts SET fence = raised.fence FROM raised
    WHERE kept AND artifacts.slot_id = raised.slot_id AND artifacts.fence = old;
UPDATE publishes SET fence = raised.fence FROM raised
    WHERE kept AND publishes.slot_id = raised.slot_id AND publishes.fence = old;
UPDATE slots SET fence = raised.fence,
    reset_fence = CASE WHEN kept AND entered AND reset_fence = old THEN raised.fence
        ELSE reset_fence END,
    live_publish = CASE WHEN serves AND (kept OR NOT leased) THEN live_publish END
    FROM raised WHERE raised.slot_id = slots.slot_id;
UPDATE runs SET state = 'ended' FROM raised
    WHERE runs.run_id = raised.run_id AND leased AND NOT kept;
UPDATE slots SET lease_state = 'expired', run_id = NULL, leased_at = NULL, expires_at = NULL,
    claimed = false FROM raised WHERE raised.slot_id = slots.slot_id AND leased AND NOT kept;
INSERT INTO events (kind, slot_id, run_id, fence, details)
    SELECT 'lease.expired', slot_id, run_id, old, '{{"reason": "restored"}}' FROM raised
    WHERE leased AND NOT kept;
INSERT INTO events (kind, details) VALUES ('control_plane.restored',
    jsonb_build_object('made_at', '{made_at}', 'version', '{version}'));
DO $$
DECLARE each record;
BEGIN
    FOR each IN
        SELECT sequencename AS name, greatest(last_value, value, 1,
            CASE WHEN sequencename IN ('publish_numbers', 'preview_db_resets_id_seq')
                THEN {number} END) AS value
        FROM pg_sequences LEFT JOIN seen_numbers ON name = sequencename
        WHERE schemaname = 'public'
    LOOP
        PERFORM setval(format('public.%I', each.name)::regclass, each.value);
    END LOOP;
    IF to_regclass('public.tokens') IS NOT NULL THEN
        UPDATE tokens SET ended_at = e.ended_at FROM ended_tokens e
            WHERE e.token_id = tokens.token_id AND tokens.ended_at IS NULL;
        UPDATE tokens SET ended_at = clock_timestamp()
            WHERE kind <> 'token' AND tokens.ended_at IS NULL;
        DELETE FROM kept_answers;
    END IF;
END $$;
"""


def after(seen: Sequence[Seen], number: int, host: str, made_at: str, version: str) -> str:
    """What follows the loading; `number` is the highest of a publish or reset on this host.

    The texts are ours or were read strictly (`read_manifest`); none holds a quote.
    """
    rows = ", ".join(
        f"('{each.slot_id}', {each.number:d}, {each.fence:d}, {str(each.serves).lower()})"
        for each in seen
    )
    files = f"INSERT INTO seen_files VALUES {rows};" if rows else ""  # noqa: S608  see above
    values = {"host": host, "made_at": made_at, "version": version, "number": f"{number:d}"}
    return _AFTER.format(files=files, **values)
