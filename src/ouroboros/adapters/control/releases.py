"""Releases in PostgreSQL: what became ready under a lease, and going back to one of them."""

from collections.abc import Collection, Mapping
from typing import Any

from ouroboros.adapters.control import publish_sql as sql
from ouroboros.adapters.control.connection import ControlPool, control, transaction
from ouroboros.adapters.control.events import record_event
from ouroboros.adapters.control.publishes import notify_publish
from ouroboros.domain.errors import Refused
from ouroboros.domain.publish import PIPELINE_VERSION
from ouroboros.domain.slot import Slot


class ReleaseStore:
    """The releases of this control plane."""

    def __init__(self, pool: ControlPool) -> None:
        self._pool = pool

    def queue_rollback(self, slot: Slot, target: str, *, with_database: bool) -> str:
        """Queue going back to the release of `target`; supersedes what is being published.

        Returns the id of the new publish. Raises `no_lease`, `already_live`,
        `not_a_release_of_the_slot`.
        """
        values = {"slot_id": slot.id, "target": target, "with_database": with_database}
        with transaction(self._pool) as db:
            found = db.execute(sql.LEASE_AND_LIVE, values).fetchone()
            releases = {row["publish_id"] for row in db.execute(sql.RELEASES, values)}
            lease = _require_target(slot, found, releases, target)
            values |= {"run_id": lease["run_id"], "version": PIPELINE_VERSION}
            db.execute(sql.SUPERSEDE_QUEUED, values)
            db.execute(sql.SUPERSEDE_RUNNING, values)
            row = db.execute(sql.QUEUE_ROLLBACK, values).fetchone()
            publish_id = str(row["publish_id"]) if row else ""
            record_event(
                db,
                "rollback.queued",
                slot_id=slot.id,
                run_id=lease["run_id"],
                publish_id=publish_id,
                fence=lease["fence"],
                details={"to": target, "with_database": with_database},
            )
            notify_publish(db, publish_id)
        return publish_id

    def of_lease(self, slot: Slot) -> list[dict[str, Any]]:
        """What became ready under the slot's present lease, newest first; no rollbacks."""
        with control(self._pool) as db:
            return db.execute(sql.RELEASES, {"slot_id": slot.id}).fetchall()

    def kept(self, slot: Slot, keep: int) -> set[str]:
        """The publishes whose release directories are still needed.

        Those at work, the live one, and the newest `keep` ready ones of the present lease.
        """
        with control(self._pool) as db:
            rows = db.execute(sql.KEPT, {"slot_id": slot.id, "keep": keep}).fetchall()
        return {row["publish_id"] for row in rows}

    def is_publishing(self, slot: Slot) -> bool:
        """Whether a publish of the slot waits or is at work."""
        with control(self._pool) as db:
            return db.execute(sql.PUBLISHING, {"slot_id": slot.id}).fetchone() is not None

    def forget_artifacts(self, names: list[str]) -> None:
        """Record that nothing is left to read of these publishes but their rows."""
        if not names:
            return
        with transaction(self._pool) as db:
            db.execute(sql.FORGET_ARTIFACTS, {"names": names})
            record_event(db, "artifacts.collected", details={"publishes": names})


def _require_target(
    slot: Slot, lease: Mapping[str, Any] | None, releases: Collection[str], target: str
) -> Mapping[str, Any]:
    if lease is None:
        raise Refused("no_lease", f"{slot.id} is leased by nobody", "ouroboros slots")
    if lease["live_publish"] == target:
        raise Refused(
            "already_live", f"{slot.id} serves {target} now", f"ouroboros releases --slot {slot.id}"
        )
    if target not in releases:
        raise Refused(
            "not_a_release_of_the_slot",
            f"{target[:40]} did not become ready on {slot.id} under its present lease",
            f"ouroboros releases --slot {slot.id}",
            {"releases": sorted(releases)},
        )
    return lease
