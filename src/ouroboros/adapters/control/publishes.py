"""Publishes in PostgreSQL: the queue of them, the step log, and what each left behind.

Every write after a claim carries the publish's fence and stands only where the slot still has
it; zero rows mean that the lease is gone, and the worker stops.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg.errors import UniqueViolation

from ouroboros.adapters.control import publish_sql as sql
from ouroboros.adapters.control.connection import ControlPool, control, transaction
from ouroboros.adapters.control.documents import jsonb
from ouroboros.adapters.control.events import record_event
from ouroboros.adapters.control.leases import stale_fence
from ouroboros.adapters.publish_log import Artifact
from ouroboros.domain.errors import NotFound, Refused, Unhealthy
from ouroboros.domain.lease import Lease
from ouroboros.domain.publish import PIPELINE_VERSION, Publish, PublishState
from ouroboros.domain.slot import Slot, SlotPool

PUBLISHES_CHANNEL = "ouroboros_publishes"
"""Tells of a publish that was queued, is no longer wanted or has ended: a worker acts on it."""
STEPS_CHANNEL = "ouroboros_publish_steps"
"""Tells of a step that began or ended: of interest to who watches, and to nobody else."""


class PublishStore:
    """The publishes of this control plane."""

    def __init__(self, pool: ControlPool, slots: SlotPool) -> None:
        self._pool = pool
        self._slots = slots
        self._of_pool = {"ids": [slot.id for slot in slots], "version": PIPELINE_VERSION}

    def queue(self, run_id: str, repo: str, ref: str, prebuilt: str | None = None) -> str:
        """Queue a publish for the slot that the run holds; supersedes the run's older ones.

        `prebuilt` names a directory of built files that are to be taken instead of building.
        Returns the publish's id. Raises `no_lease` when the run holds no slot whose database
        has been reset for it.
        """
        values: dict[str, Any] = {
            "run_id": run_id,
            "repo": repo,
            "ref": ref,
            "version": PIPELINE_VERSION,
            "prebuilt": prebuilt,
        }
        with transaction(self._pool) as db:
            lease = db.execute(sql.LEASE_OF_RUN, values).fetchone()
            if lease is None:
                raise Refused(
                    "no_lease",
                    f"run {run_id} holds no slot",
                    f"scripts/preview-slot-allocate.sh --run-id {run_id} --strategy seed "
                    "--seed-version v1",
                    {"run_id": run_id},
                )
            db.execute(sql.SUPERSEDE_QUEUED, values)
            db.execute(sql.SUPERSEDE_RUNNING, values)
            row = db.execute(sql.QUEUE, {**values, **lease}).fetchone()
            publish_id = str(row["publish_id"]) if row else ""
            record_event(
                db,
                "publish.queued",
                run_id=run_id,
                publish_id=publish_id,
                details={"repo": repo, "ref": ref},
                **lease,
            )
            notify_publish(db, publish_id)
        return publish_id

    def claim(self) -> Publish | None:
        """Take the oldest queued publish whose slot has none running; None when there is none."""
        while True:
            try:
                with transaction(self._pool) as db:
                    row = db.execute(sql.CLAIM, self._of_pool).fetchone()
            except UniqueViolation:
                continue  # another claim on that slot came first; the next look sees it running
            return self._publish(row) if row else None

    def fresh(self, publish: Publish) -> Publish:
        """The publish as it is recorded now; raises `publish_not_found`."""
        return self._publish(self.get(publish.publish_id))

    def unfinished(self) -> list[Publish]:
        """Publishes that a worker left running; for a worker that starts.

        Of one that another version of the pipeline began no step counts as done; but each that
        was begun is still undone when the publish ends otherwise.
        """
        with transaction(self._pool) as db:
            db.execute(sql.BEGIN_STEPS_AGAIN, self._of_pool)
            db.execute(sql.ADOPT, self._of_pool)
        return self.running()

    def running(self) -> list[Publish]:
        """Publishes of this host's slots that are recorded as running."""
        with transaction(self._pool) as db:
            rows = db.execute(sql.RUNNING, self._of_pool).fetchall()
        return [self._publish(row) for row in rows]

    def set_commit(self, publish: Publish, commit: str) -> None:
        """Record the exact commit that is published; raises `stale_fence`."""
        with self._under_fence(publish) as db:
            db.execute(sql.SET_COMMIT, {"publish_id": publish.publish_id, "commit": commit})

    def begin_step(self, publish: Publish, step: str, position: int) -> int:
        """Record that a step begins, and say for which time; raises `stale_fence`."""
        values: dict[str, Any] = {"publish_id": publish.publish_id, "fence": publish.fence}
        values |= {"step": step, "position": position}
        with self._under_fence(publish) as db:
            row = db.execute(sql.BEGIN_STEP, values).fetchone()
            notify_publish(db, publish.publish_id, STEPS_CHANNEL)
        return int(row["attempts"]) if row else 1

    def end_step(
        self,
        publish: Publish,
        step: str,
        *,
        succeeded: bool,
        result: Mapping[str, Any],
        artifacts: Sequence[Artifact] = (),
    ) -> None:
        """Record how a step ended and the files it left; raises `stale_fence`."""
        values = {"step": step, "state": "done" if succeeded else "failed"}
        with self._under_fence(publish) as db:
            for artifact in artifacts:
                _record_artifact(db, publish, artifact)
            db.execute(
                sql.END_STEP,
                {"publish_id": publish.publish_id, "result": jsonb(result), **values},
            )
            notify_publish(db, publish.publish_id, STEPS_CHANNEL)

    def require_unbroken(self, publish: Publish, step: str) -> None:
        """Raise `control_plane_unreachable` when PostgreSQL went away since the step began.

        It was started anew, or one of its processes was killed and all of them began again.
        """
        values = {"publish_id": publish.publish_id, "step": step}
        with control(self._pool) as db:
            row = db.execute(sql.DATABASE_BEGAN_ANEW, values).fetchone()
        if row and row["began_anew"]:
            raise Unhealthy(
                "control_plane_unreachable",
                f"PostgreSQL went away while {step} of {publish.publish_id} ran",
                "ouroboros status; the step is begun once more",
            )

    def steps(self, publish_id: str) -> list[dict[str, Any]]:
        """The step log, in order."""
        with control(self._pool) as db:
            return db.execute(sql.STEPS, {"publish_id": publish_id}).fetchall()

    def finish_ready(self, publish: Publish) -> None:
        """Make the publish the slot's live one: `preview_ready`.

        The last instant at which it can be stopped. Raises `stale_fence`, `superseded`,
        `cancelled`.
        """
        with self._under_fence(publish) as db:
            _require_wanted(publish, self._still_running(db, publish))
            db.execute(sql.GO_LIVE, {"publish_id": publish.release_id, "slot_id": publish.slot.id})
            self._finish(db, publish, PublishState.READY, None, None)

    def record_ending(self, publish: Publish, ending: Mapping[str, Any]) -> None:
        """Record that a publish is being undone, and why, so that no worker goes on with it."""
        with control(self._pool) as db:
            values = {"publish_id": publish.publish_id, "ending": jsonb(ending)}
            db.execute(sql.RECORD_ENDING, values)

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
            db.execute(sql.REQUEST_CANCEL, {"publish_id": publish_id})
            notify_publish(db, publish_id)
        self.get(publish_id)

    def cancel_all(self, lease: Lease) -> bool:
        """Ask for the end of all publishes under a lease; whether one is still running."""
        values = {"slot_id": lease.slot.id, "fence": lease.fence}
        with transaction(self._pool) as db:
            running = db.execute(sql.CANCEL_ALL, values).fetchall()
        return bool(running)

    def flags(self, publish: Publish) -> tuple[bool, bool, bool]:
        """Whether the publish is cancelled, superseded, and still holds its lease."""
        with control(self._pool) as db:
            row = db.execute(sql.FLAGS, {"publish_id": publish.publish_id}).fetchone()
        if row is None:
            return True, False, False
        return bool(row["cancel_requested"]), bool(row["superseded"]), bool(row["holds"])

    def keep_alive(self, publish: Publish, ttl_s: int) -> None:
        """Extend the lease while its publish runs, so that a long build does not lose it."""
        values = {"slot_id": publish.slot.id, "fence": publish.fence, "ttl_s": ttl_s}
        with control(self._pool) as db:
            db.execute(sql.KEEP_ALIVE, values)

    def get(self, publish_id: str) -> dict[str, Any]:
        """One publish with its steps and artifacts; raises `publish_not_found`."""
        with control(self._pool) as db:
            row = db.execute(sql.GET, {"publish_id": publish_id}).fetchone()
            if row is None:
                raise NotFound(
                    "publish_not_found",
                    f"there is no publish {publish_id[:40]!r}",
                    "ouroboros publishes",
                )
            steps = db.execute(sql.STEPS, {"publish_id": publish_id}).fetchall()
            artifacts = db.execute(sql.ARTIFACTS, {"publish_id": publish_id}).fetchall()
        return {**row, "steps": steps, "artifacts": artifacts}

    def list(
        self,
        slot_id: str | None = None,
        run_id: str | None = None,
        limit: int = 20,
        before: int | None = None,
    ) -> list[dict[str, Any]]:
        """The newest publishes first, from below the number `before` on."""
        with control(self._pool) as db:
            values = {"slot_id": slot_id, "run_id": run_id, "limit": limit, "before": before}
            return db.execute(sql.LIST, values).fetchall()

    def record_artifact(self, publish: Publish, artifact: Artifact) -> None:
        """Record a file of a step before the step has ended; raises `stale_fence`."""
        with self._under_fence(publish) as db:
            _record_artifact(db, publish, artifact)

    @contextmanager
    def unless_leased_again(self, slot: Slot, fence: int) -> Iterator[None]:
        """Act on a slot that nobody holds since `fence` ended; raises `stale_fence` otherwise."""
        with transaction(self._pool) as db:
            values = {"slot_id": slot.id, "fence": fence}
            if db.execute(sql.NEXT_LEASE, values).fetchone() is None:
                raise stale_fence(slot, fence)
            yield

    @contextmanager
    def _under_fence(self, publish: Publish) -> Iterator[Any]:
        values = {"slot_id": publish.slot.id, "fence": publish.fence}
        with transaction(self._pool) as db:
            if db.execute(sql.LIVE_LEASE, values).fetchone() is None:
                raise stale_fence(publish.slot, publish.fence)
            self._still_running(db, publish)
            yield db

    @staticmethod
    def _still_running(db: Any, publish: Publish) -> Mapping[str, Any]:
        """Lock the publish's row; an end that was recorded is final (`publish_has_ended`)."""
        row: Mapping[str, Any] | None
        row = db.execute(sql.STILL_RUNNING, {"publish_id": publish.publish_id}).fetchone()
        if row is None:
            raise Refused(
                "publish_has_ended",
                f"publish {publish.publish_id} has ended already",
                f"ouroboros logs {publish.publish_id}",
            )
        return row

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
            "error": jsonb(error) if error else None,
        }
        if db.execute(sql.FINISH, values).fetchone() is None:
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
        notify_publish(db, publish.publish_id)

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
            row["details"].get("rollback_to"),
            bool(row["details"].get("with_database")),
            row["details"].get("prebuilt"),
        )


def notify_publish(db: Any, publish_id: str, channel: str = PUBLISHES_CHANNEL) -> None:
    """Tell who listens, when the transaction commits, that a publish has changed."""
    db.execute(sql.NOTIFY, {"channel": channel, "payload": publish_id})


def _record_artifact(db: Any, publish: Publish, artifact: Artifact) -> None:
    values = {
        "publish_id": publish.publish_id,
        "run_id": publish.run_id,
        "slot_id": publish.slot.id,
        "fence": publish.fence,
        "name": artifact.name,
        "media_type": artifact.media_type,
        "size_bytes": artifact.size_bytes,
        "sha256": artifact.sha256,
        "path": str(artifact.path),
    }
    db.execute(sql.RECORD_ARTIFACT, values)


def _require_wanted(publish: Publish, row: Mapping[str, Any]) -> None:
    for code, asked in (("superseded", row["superseded"]), ("cancelled", row["cancel_requested"])):
        if asked:
            raise Refused(
                code, f"publish {publish.publish_id} was stopped: {code}", "ouroboros publishes"
            )
