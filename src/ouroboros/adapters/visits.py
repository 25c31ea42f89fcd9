"""Visits: how long ago somebody looked at a slot, from the surface's access log.

The log's time of change is only compared with itself, and the seconds are counted by the
monotonic clock: a step of the host's clock makes no visit older or younger.
"""

import time
from pathlib import Path

from ouroboros.domain.slot import Slot
from ouroboros.plans.layout import Layout

_PAGE_BYTES = 16 << 20


class Visits:
    """The last visits of all slots, as far as this process has seen them."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._seen: dict[str, tuple[int, float]] = {}

    def quiet_s(self, slot: Slot) -> float:
        """Seconds without a visit; counted from the first look when none was seen since."""
        path = self._layout.access_log(slot)
        written, now = _written_at(path), time.monotonic()
        last, since = self._seen.setdefault(slot.id, (written, now))
        if written != last:
            self._seen[slot.id] = written, now
            return 0.0
        return now - since


def _written_at(path: Path) -> int:
    """When the log was last written, in ns; a full page of it is turned on the way."""
    try:
        found = path.stat()
        if found.st_size > _PAGE_BYTES:
            path.replace(path.with_name(f"{path.name}.1"))
    except FileNotFoundError:
        return 0
    return found.st_mtime_ns
