"""Events: an append-only record of every action, written in the transaction of the action."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ouroboros.adapters.control.connection import ControlConnection, ControlPool, control
from ouroboros.adapters.control.documents import jsonb

EVENTS_CHANNEL = "ouroboros_events"
"""Where the number of every committed event is notified, by a trigger."""

_RECORD = """
    INSERT INTO events (kind, slot_id, run_id, publish_id, fence, details)
    VALUES (%(kind)s, %(slot_id)s, %(run_id)s, %(publish_id)s, %(fence)s, %(details)s)
"""


def record_event(
    db: ControlConnection,
    kind: str,
    *,
    slot_id: str | None = None,
    run_id: str | None = None,
    publish_id: str | None = None,
    fence: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Append one event; it stands only if the caller's transaction does."""
    db.execute(
        _RECORD,
        {
            "kind": kind,
            "slot_id": slot_id,
            "run_id": run_id,
            "publish_id": publish_id,
            "fence": fence,
            "details": jsonb(details or {}),
        },
    )


_NEWEST = """
    SELECT * FROM events
    WHERE (%(before)s::bigint IS NULL OR id < %(before)s)
        AND (%(slot_id)s::text IS NULL OR slot_id = %(slot_id)s)
        AND (%(run_id)s::text IS NULL OR run_id = %(run_id)s)
        AND (%(publish_id)s::text IS NULL OR publish_id = %(publish_id)s)
    ORDER BY id DESC LIMIT %(limit)s
"""
_SINCE = """
    SELECT * FROM events
    WHERE id > %(after)s
        AND (%(slot_id)s::text IS NULL OR slot_id = %(slot_id)s)
        AND (%(run_id)s::text IS NULL OR run_id = %(run_id)s)
        AND (%(publish_id)s::text IS NULL OR publish_id = %(publish_id)s)
    ORDER BY id LIMIT %(limit)s
"""
_GET = "SELECT * FROM events WHERE id = %(id)s"


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events one asks for; None is no condition."""

    slot_id: str | None = None
    run_id: str | None = None
    publish_id: str | None = None

    def admits(self, event: Mapping[str, Any]) -> bool:
        """Whether an event is one of those asked for."""
        return all(
            wanted is None or event.get(name) == wanted for name, wanted in self.values().items()
        )

    def values(self) -> dict[str, str | None]:
        """The conditions by the names of their columns."""
        return {
            "slot_id": self.slot_id,
            "run_id": self.run_id,
            "publish_id": self.publish_id,
        }


class EventReader:
    """Queries over the events; none changes anything."""

    def __init__(self, pool: ControlPool) -> None:
        self._pool = pool

    def newest(
        self, wanted: EventFilter, limit: int, before: int | None = None
    ) -> list[dict[str, Any]]:
        """The newest events first, from below the id `before` on."""
        values = {**wanted.values(), "limit": limit, "before": before}
        with control(self._pool) as db:
            return db.execute(_NEWEST, values).fetchall()

    def since(self, wanted: EventFilter, after: int, limit: int) -> list[dict[str, Any]]:
        """The events above the id `after`, oldest first."""
        with control(self._pool) as db:
            values = {**wanted.values(), "after": after, "limit": limit}
            return db.execute(_SINCE, values).fetchall()

    def get(self, event_id: int) -> dict[str, Any] | None:
        """One event; None when there is none with this id."""
        with control(self._pool) as db:
            return db.execute(_GET, {"id": event_id}).fetchone()
