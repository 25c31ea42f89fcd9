"""Pictures of previews in PostgreSQL: which is to be taken next, and what came of it.

What came of it stands in the publish's details, because a publish has at most one, and its files
among the artifacts. Neither needs the lease: a picture changes nothing that anybody is served.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ouroboros.adapters.control.connection import ControlPool, control, transaction
from ouroboros.adapters.control.documents import jsonb
from ouroboros.adapters.control.events import record_event
from ouroboros.adapters.control.publish_sql import RECORD_ARTIFACT
from ouroboros.adapters.publish_log import Artifact
from ouroboros.domain.slot import SlotPool

_NEXT = """
    SELECT p.publish_id, p.slot_id, p.run_id, p.fence FROM slots s
    JOIN publishes p ON p.publish_id = s.live_publish
    WHERE s.slot_id = ANY(%(ids)s) AND s.lease_state = 'leased' AND p.state = 'ready'
        AND NOT p.details ? 'picture'
    ORDER BY p.finished_at LIMIT 1
"""
_RECORD = """
    UPDATE publishes SET details = details || jsonb_build_object('picture', %(picture)s::jsonb)
    WHERE publish_id = %(publish_id)s
"""


class PictureStore:
    """The pictures of this control plane's live publishes."""

    def __init__(self, pool: ControlPool, slots: SlotPool) -> None:
        self._pool = pool
        self._ids = [slot.id for slot in slots]

    def next(self) -> dict[str, Any] | None:
        """The live publish that has waited longest for its picture; None when all have one."""
        with control(self._pool) as db:
            return db.execute(_NEXT, {"ids": self._ids}).fetchone()

    def record(
        self, publish: Mapping[str, Any], found: Mapping[str, Any], files: Sequence[Artifact] = ()
    ) -> None:
        """Record what came of a publish's picture, and tell those who watch."""
        named = {key: publish[key] for key in ("publish_id", "slot_id", "run_id", "fence")}
        with transaction(self._pool) as db:
            db.execute(_RECORD, {**named, "picture": jsonb(found)})
            for file in files:
                db.execute(
                    RECORD_ARTIFACT,
                    {
                        **named,
                        "name": file.name,
                        "media_type": file.media_type,
                        "size_bytes": file.size_bytes,
                        "sha256": file.sha256,
                        "path": str(file.path),
                    },
                )
            if found["state"] != "none":
                record_event(
                    db,
                    f"picture.{found['state']}",
                    details={"error": found["error"]} if "error" in found else {},
                    **named,
                )
