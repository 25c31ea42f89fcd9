"""Publishes in PostgreSQL: the queue of them, the step log, and what each left behind.

Every write after a claim carries the publish's fence and stands only where the slot still has
it; zero rows mean that the lease is gone, and the worker stops.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from psycopg.types.json import Jsonb

from ouroboros.adapters.control.connection import ControlPool, control, transaction
from ouroboros.adapters.control.events import record_event
from ouroboros.adapters.control.leases import stale_fence
from ouroboros.domain.errors import NotFound, Refused
from ouroboros.domain.publish import PIPELINE_VERSION, Publish, PublishState
from ouroboros.domain.slot import Slot, SlotPool

PUBLISHES_CHANNEL = "ouroboros_publishes"

_LEASE_OF_RUN = """
    SELECT slot_id, fence FROM slots WHERE run_id = %(run_id)s AND lease_state = 'leased'
        AND expires_at > clock_timestamp() AND reset_fence = fence
    FOR UPDATE
"""
_SUPERSEDE_QUEUED = """
    UPDATE publishes SET state = 'superseded', finished_at = clock_timestamp()
    WHERE run_id = %(run_id)s AND state = 'queued'
"""
_SUPERSEDE_RUNNING = """
    UPDATE publishes SET cancel_requested = true, details = details || '{"superseded": true}'
    WHERE run_id = %(run_id)s AND state = 'running'
"""
_QUEUE = """
    INSERT INTO publishes (run_id, slot_id, fence, repo, ref, pipeline_version)
    VALUES (%(run_id)s, %(slot_id)s, %(fence)s, %(repo)s, %(ref)s, %(version)s)
    RETURNING publish_id
"""
_CLAIM = """
    UPDATE publishes SET state = 'running', started_at = clock_timestamp()
    WHERE publish_id = (
        SELECT p.publish_id FROM publishes p
        WHERE p.state = 'queued' AND NOT EXISTS (
            SELECT 1 FROM publishes r WHERE r.slot_id = p.slot_id AND r.state = 'running')
        ORDER BY p.seq LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING *
"""
_RUNNING = "SELECT * FROM publishes WHERE state = 'running' ORDER BY seq"
_LIVE_LEASE = """
    SELECT 1 FROM slots WHERE slot_id = %(slot_id)s AND fence = %(fence)s
        AND lease_state = 'leased' FOR SHARE
"""
_SET_COMMIT = """
    UPDATE publishes SET commit_sha = %(commit)s
    WHERE publish_id = %(publish_id)s AND state = 'running'
"""
_BEGIN_STEP = """
    INSERT INTO publish_steps AS s (publish_id, step, position, state, fence)
    VALUES (%(publish_id)s, %(step)s, %(position)s, 'running', %(fence)s)
    ON CONFLICT (publish_id, step) DO UPDATE
    SET state = 'running', attempts = s.attempts + 1, started_at = clock_timestamp(),
        finished_at = NULL
"""
_END_STEP = """
    UPDATE publish_steps SET state = %(state)s, finished_at = clock_timestamp(),
        result = %(result)s
    WHERE publish_id = %(publish_id)s AND step = %(step)s
"""
_STEPS = """
    SELECT step, position, state, attempts, started_at, finished_at, result
    FROM publish_steps WHERE publish_id = %(publish_id)s ORDER BY position
"""
_FINISH = """
    UPDATE publishes SET state = %(state)s, finished_at = clock_timestamp(),
        failed_step = %(failed_step)s, error = %(error)s
    WHERE publish_id = %(publish_id)s AND state IN ('queued', 'running')
    RETURNING publish_id
"""
_GO_LIVE = "UPDATE slots SET live_publish = %(publish_id)s WHERE slot_id = %(slot_id)s"
_CANCEL_ALL = """
    WITH dropped AS (
        UPDATE publishes SET state = 'cancelled', finished_at = clock_timestamp()
        WHERE slot_id = %(slot_id)s AND run_id = %(run_id)s AND state = 'queued'
    )
    UPDATE publishes SET cancel_requested = true
    WHERE slot_id = %(slot_id)s AND run_id = %(run_id)s AND state = 'running'
    RETURNING publish_id
"""
_REQUEST_CANCEL = """
    UPDATE publishes SET cancel_requested = true,
        state = CASE state WHEN 'queued' THEN 'cancelled' ELSE state END,
        finished_at = CASE state WHEN 'queued' THEN clock_timestamp() END
    WHERE publish_id = %(publish_id)s AND state IN ('queued', 'running')
    RETURNING state
"""
_FLAGS = """
    SELECT p.cancel_requested, p.details ? 'superseded' AS superseded,
        (s.fence = p.fence AND s.lease_state = 'leased') AS holds
    FROM publishes p JOIN slots s USING (slot_id) WHERE p.publish_id = %(publish_id)s
"""
_KEEP_ALIVE = """
    UPDATE slots SET expires_at = greatest(
        expires_at, clock_timestamp() + make_interval(secs => %(ttl_s)s))
    WHERE slot_id = %(slot_id)s AND fence = %(fence)s AND lease_state = 'leased'
        AND expires_at > clock_timestamp()
"""
_GET = "SELECT * FROM publishes WHERE publish_id = %(publish_id)s"
_LIST = """
    SELECT * FROM publishes
    WHERE (%(slot_id)s::text IS NULL OR slot_id = %(slot_id)s)
        AND (%(run_id)s::text IS NULL OR run_id = %(run_id)s)
    ORDER BY seq DESC LIMIT %(limit)s
"""
_NEXT_LEASE = """
    SELECT 1 FROM slots WHERE slot_id = %(slot_id)s AND fence = %(fence)s
        AND lease_state <> 'leased' FOR SHARE
"""
_RECORD_ARTIFACT = """
    INSERT INTO artifacts
        (publish_id, run_id, slot_id, fence, name, media_type, size_bytes, sha256, path)
    VALUES (%(publish_id)s, %(run_id)s, %(slot_id)s, %(fence)s, %(name)s, %(media_type)s,
        %(size_bytes)s, %(sha256)s, %(path)s)
    ON CONFLICT (publish_id, name) DO UPDATE SET size_bytes = EXCLUDED.size_bytes,
        sha256 = EXCLUDED.sha256, created_at = clock_timestamp()
"""
_ARTIFACTS = """
    SELECT name, media_type, size_bytes, sha256, path, slot_id, created_at FROM artifacts
    WHERE publish_id = %(publish_id)s ORDER BY id
"""
_NOTIFY = "SELECT pg_notify(%(channel)s, %(payload)s)"


class PublishStore:
    """The publishes of this control plane."""

    def __init__(self, pool: ControlPool, slots: SlotPool) -> None:
        self._pool = pool
        self._slots = slots

    def queue(self, run_id: str, repo: str, ref: str) -> str:
        """Queue a publish for the slot that the run holds; supersedes the run's older ones.

        Returns the publish's id. Raises `no_lease` when the run holds no slot whose database
        has been reset for it.
        """
        values = {"run_id": run_id, "repo": repo, "ref": ref, "version": PIPELINE_VERSION}
        with transaction(self._pool) as db:
            lease = db.execute(_LEASE_OF_RUN, values).fetchone()
            if lease is None:
                raise Refused(
                    "no_lease",
                    f"run {run_id} holds no slot",
                    f"scripts/preview-slot-allocate.sh --run-id {run_id} --strategy seed "
                    "--seed-version v1",
                    {"run_id": run_id},
                )
            db.execute(_SUPERSEDE_QUEUED, values)
            db.execute(_SUPERSEDE_RUNNING, values)
            row = db.execute(_QUEUE, {**values, **lease}).fetchone()
            publish_id = str(row["publish_id"]) if row else ""
            record_event(
                db,
                "publish.queued",
                run_id=run_id,
                publish_id=publish_id,
                details={"repo": repo, "ref": ref},
                **lease,
            )
            self._notify(db, publish_id)
        return publish_id

    def claim(self) -> Publish | None:
        """Take the oldest queued publish whose slot has none running; None when there is none."""
        with transaction(self._pool) as db:
            row = db.execute(_CLAIM).fetchone()
        return self._publish(row) if row else None

    def unfinished(self) -> list[Publish]:
        """Publishes that a worker left running; for a worker that starts."""
        with control(self._pool) as db:
            return [self._publish(row) for row in db.execute(_RUNNING).fetchall()]

    def set_commit(self, publish: Publish, commit: str) -> None:
        """Record the exact commit that is published; raises `stale_fence`."""
        with self._under_fence(publish) as db:
            db.execute(_SET_COMMIT, {"publish_id": publish.publish_id, "commit": commit})

    def begin_step(self, publish: Publish, step: str, position: int) -> None:
        """Record that a step begins; raises `stale_fence`."""
        values = {"step": step, "position": position, "fence": publish.fence}
        with self._under_fence(publish) as db:
            db.execute(_BEGIN_STEP, {"publish_id": publish.publish_id, **values})
            self._notify(db, publish.publish_id)

    def end_step(
        self, publish: Publish, step: str, *, succeeded: bool, result: Mapping[str, Any]
    ) -> None:
        """Record how a step ended; raises `stale_fence` when the lease is gone."""
        values = {"step": step, "state": "done" if succeeded else "failed"}
        with self._under_fence(publish) as db:
            db.execute(
                _END_STEP,
                {"publish_id": publish.publish_id, "result": Jsonb(dict(result)), **values},
            )
            self._notify(db, publish.publish_id)

    def steps(self, publish_id: str) -> list[dict[str, Any]]:
        """The step log, in order."""
        with control(self._pool) as db:
            return db.execute(_STEPS, {"publish_id": publish_id}).fetchall()

    def finish_ready(self, publish: Publish) -> None:
        """Make the publish the slot's live one: `preview_ready`. Raises `stale_fence`."""
        with self._under_fence(publish) as db:
            db.execute(_GO_LIVE, {"publish_id": publish.publish_id, "slot_id": publish.slot.id})
            self._finish(db, publish, PublishState.READY, None, None)

    def finish_otherwise(
        self,
        publish: Publish,
        state: PublishState,
        failed_step: str | None,
        error: Mapping[str, Any] | None,
    ) -> None:
        """End a publish that did not become ready; needs no lease, since it has no effect."""
        with transaction(self._pool) as db:
            self._finish(db, publish, state, failed_step, error)

    def cancel(self, publish_id: str) -> None:
        """Ask for the end of a publish; may be repeated. Raises `publish_not_found`."""
        with transaction(self._pool) as db:
            db.execute(_REQUEST_CANCEL, {"publish_id": publish_id})
            self._notify(db, publish_id)
        self.get(publish_id)

    def cancel_all(self, slot: Slot, run_id: str) -> bool:
        """Ask for the end of all publishes of a run; whether one is still running."""
        with transaction(self._pool) as db:
            running = db.execute(_CANCEL_ALL, {"slot_id": slot.id, "run_id": run_id}).fetchall()
        return bool(running)

    def flags(self, publish: Publish) -> tuple[bool, bool, bool]:
        """Whether the publish is cancelled, superseded, and still holds its lease."""
        with control(self._pool) as db:
            row = db.execute(_FLAGS, {"publish_id": publish.publish_id}).fetchone()
        if row is None:
            return True, False, False
        return bool(row["cancel_requested"]), bool(row["superseded"]), bool(row["holds"])

    def keep_alive(self, publish: Publish, ttl_s: int) -> None:
        """Extend the lease while its publish runs, so that a long build does not lose it."""
        values = {"slot_id": publish.slot.id, "fence": publish.fence, "ttl_s": ttl_s}
        with control(self._pool) as db:
            db.execute(_KEEP_ALIVE, values)

    def get(self, publish_id: str) -> dict[str, Any]:
        """One publish with its steps and artifacts; raises `publish_not_found`."""
        with control(self._pool) as db:
            row = db.execute(_GET, {"publish_id": publish_id}).fetchone()
            if row is None:
                raise NotFound(
                    "publish_not_found",
                    f"there is no publish {publish_id[:40]!r}",
                    "ouroboros publishes",
                )
            steps = db.execute(_STEPS, {"publish_id": publish_id}).fetchall()
            artifacts = db.execute(_ARTIFACTS, {"publish_id": publish_id}).fetchall()
        return {**row, "steps": steps, "artifacts": artifacts}

    def list(
        self, slot_id: str | None = None, run_id: str | None = None, limit: int = 20
    ) -> list[dict[str, Any]]:
        """The newest publishes first."""
        with control(self._pool) as db:
            values = {"slot_id": slot_id, "run_id": run_id, "limit": limit}
            return db.execute(_LIST, values).fetchall()

    def record_artifact(
        self, publish: Publish, name: str, media_type: str, size_bytes: int, sha256: str, path: str
    ) -> None:
        """Record a file that a step left; raises `stale_fence`."""
        with self._under_fence(publish) as db:
            db.execute(
                _RECORD_ARTIFACT,
                {
                    "publish_id": publish.publish_id,
                    "run_id": publish.run_id,
                    "slot_id": publish.slot.id,
                    "fence": publish.fence,
                    "name": name,
                    "media_type": media_type,
                    "size_bytes": size_bytes,
                    "sha256": sha256,
                    "path": path,
                },
            )

    @contextmanager
    def unless_leased_again(self, slot: Slot, fence: int) -> Iterator[None]:
        """Act on a slot that nobody holds since `fence` ended; raises `stale_fence` otherwise."""
        with transaction(self._pool) as db:
            values = {"slot_id": slot.id, "fence": fence}
            if db.execute(_NEXT_LEASE, values).fetchone() is None:
                raise stale_fence(slot, fence)
            yield

    @contextmanager
    def _under_fence(self, publish: Publish) -> Iterator[Any]:
        values = {"slot_id": publish.slot.id, "fence": publish.fence}
        with transaction(self._pool) as db:
            if db.execute(_LIVE_LEASE, values).fetchone() is None:
                raise stale_fence(publish.slot, publish.fence)
            yield db

    def _finish(
        self,
        db: Any,
        publish: Publish,
        state: PublishState,
        failed_step: str | None,
        error: Mapping[str, Any] | None,
    ) -> None:
        values = {
            "publish_id": publish.publish_id,
            "state": state,
            "failed_step": failed_step,
            "error": Jsonb(dict(error)) if error else None,
        }
        if db.execute(_FINISH, values).fetchone() is None:
            return
        record_event(
            db,
            "preview_ready" if state is PublishState.READY else f"publish.{state}",
            slot_id=publish.slot.id,
            run_id=publish.run_id,
            publish_id=publish.publish_id,
            fence=publish.fence,
            details={"failed_step": failed_step} if failed_step else {},
        )
        self._notify(db, publish.publish_id)

    def _publish(self, row: Mapping[str, Any]) -> Publish:
        return Publish(
            row["publish_id"],
            row["seq"],
            row["run_id"],
            self._slots.parse(row["slot_id"]),
            row["fence"],
            row["repo"],
            row["ref"],
            row["commit_sha"],
        )

    @staticmethod
    def _notify(db: Any, publish_id: str) -> None:
        db.execute(_NOTIFY, {"channel": PUBLISHES_CHANNEL, "payload": publish_id})
