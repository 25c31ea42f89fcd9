"""The audit log: who did what to what, with the state before and after."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ouroboros.adapters.control.connection import ControlPool, control
from ouroboros.adapters.control.documents import jsonb

_APPEND = """
    INSERT INTO audit_log (who, action, slot_id, run_id, publish_id, request, status, error,
        before, after)
    VALUES (%(who)s, %(action)s, %(slot_id)s, %(run_id)s, %(publish_id)s, %(request)s, %(status)s,
        %(error)s, %(before)s, %(after)s)
"""
_LIST = """
    SELECT * FROM audit_log WHERE (%(before)s::bigint IS NULL OR id < %(before)s)
    ORDER BY id DESC LIMIT %(limit)s
"""


@dataclass(slots=True)
class Deed:
    """One action as it is recorded. `status` is the HTTP status that it was answered with."""

    who: str
    action: str
    slot_id: str | None = None
    run_id: str | None = None
    publish_id: str | None = None
    request: dict[str, Any] = field(default_factory=dict)
    status: int = 0
    error: str | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


class AuditLog:
    """Appends deeds and reads them again; the table refuses everything else."""

    def __init__(self, pool: ControlPool) -> None:
        self._pool = pool

    def append(self, deed: Deed) -> None:
        """Record a deed."""
        values = {
            "who": deed.who,
            "action": deed.action,
            "slot_id": deed.slot_id,
            "run_id": deed.run_id,
            "publish_id": deed.publish_id,
            "request": jsonb(deed.request),
            "status": deed.status,
            "error": deed.error,
            "before": None if deed.before is None else jsonb(deed.before),
            "after": None if deed.after is None else jsonb(deed.after),
        }
        with control(self._pool) as db:
            db.execute(_APPEND, values)

    def list(self, limit: int, before: int | None = None) -> list[dict[str, Any]]:
        """The newest deeds first, from below the id `before` on."""
        with control(self._pool) as db:
            return db.execute(_LIST, {"limit": limit, "before": before}).fetchall()
