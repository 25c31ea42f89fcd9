"""Events: an append-only record of every action, written in the transaction of the action."""

from collections.abc import Mapping
from typing import Any

from ouroboros.adapters.control.connection import ControlConnection
from ouroboros.adapters.control.documents import jsonb

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
