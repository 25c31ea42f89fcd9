"""The output of publishes in PostgreSQL: parts that whoever watches reads, from any host.

Parts are appended without waiting for the disk (`synchronous_commit`): what a crash of PostgreSQL
loses is in the log file, and the next part is refused until it has been stored again.
"""

from collections.abc import Sequence
from typing import Any

from ouroboros.adapters.control.connection import ControlPool, control
from ouroboros.adapters.publish_log import LogPart
from ouroboros.domain.errors import NotFound
from ouroboros.domain.publish import Publish, PublishState
from ouroboros.domain.slot import Slot

OUTPUT_CHANNEL = "ouroboros_output"
KEPT_PUBLISHES = 100
"""How many publishes of a slot keep their output here; the files of the others stay."""
_ROWS = 32

_APPEND = """
    WITH quick AS (SELECT set_config('synchronous_commit', 'off', true)),
    added AS (
        INSERT INTO publish_output (publish_id, seq, step, chunk)
        SELECT p.publish_id, %(end)s, %(step)s, %(chunk)s FROM publishes p, quick
        WHERE p.publish_id = %(publish_id)s AND p.fence = %(fence)s AND p.state = 'running'
            AND %(start)s = (SELECT coalesce(max(seq), 0) FROM publish_output
                             WHERE publish_id = %(publish_id)s)
        ON CONFLICT DO NOTHING
        RETURNING publish_id
    )
    SELECT pg_notify(%(channel)s, publish_id) FROM added
"""
_STORED = """
    SELECT coalesce(max(seq), 0) AS seq FROM publish_output WHERE publish_id = %(publish_id)s
"""
_STATE = "SELECT state FROM publishes WHERE publish_id = %(publish_id)s"
_READ = """
    SELECT seq, step, at, chunk FROM publish_output
    WHERE publish_id = %(publish_id)s AND seq > %(after)s
        AND (%(steps)s::text[] IS NULL OR step = ANY(%(steps)s))
    ORDER BY seq LIMIT %(rows)s
"""
_FORGET = """
    DELETE FROM publish_output WHERE publish_id IN (
        SELECT publish_id FROM publishes WHERE slot_id = %(slot_id)s
        ORDER BY seq DESC OFFSET %(keep)s)
"""


class OutputStore:
    """The output of this control plane's publishes."""

    def __init__(self, pool: ControlPool) -> None:
        self._pool = pool

    def append(self, publish: Publish, part: LogPart) -> bool:
        """Store the part that follows what is stored; whoever waits is woken.

        False, and nothing happens, when it does not follow, or the publish is no longer at work
        under its fence.
        """
        values = {
            "publish_id": publish.publish_id,
            "fence": publish.fence,
            "start": part.start,
            "end": part.end,
            "step": part.step,
            "chunk": part.text,
            "channel": OUTPUT_CHANNEL,
        }
        with control(self._pool) as db:
            return db.execute(_APPEND, values).fetchone() is not None

    def stored(self, publish_id: str) -> int:
        """Where in the log the last stored part ends; 0 when there is none."""
        with control(self._pool) as db:
            row = db.execute(_STORED, {"publish_id": publish_id}).fetchone()
        return int(row["seq"]) if row else 0

    def read(
        self, publish_id: str, after: int, steps: Sequence[str] | None = None
    ) -> tuple[PublishState, list[dict[str, Any]]]:
        """The next parts, and the publish's state from before they were read.

        So when the state is final and there are no parts, there will be none any more. Raises
        `publish_not_found`.
        """
        values = {
            "publish_id": publish_id,
            "after": after,
            "steps": None if steps is None else list(steps),
            "rows": _ROWS,
        }
        with control(self._pool) as db:
            row = db.execute(_STATE, values).fetchone()
            if row is None:
                raise NotFound(
                    "publish_not_found",
                    f"there is no publish {publish_id[:40]!r}",
                    "ouroboros publishes",
                )
            return PublishState(row["state"]), db.execute(_READ, values).fetchall()

    def forget_old(self, slot: Slot, keep: int = KEPT_PUBLISHES) -> None:
        """Drop the output of all but the slot's newest publishes; may be repeated."""
        with control(self._pool) as db:
            db.execute(_FORGET, {"slot_id": slot.id, "keep": keep})
