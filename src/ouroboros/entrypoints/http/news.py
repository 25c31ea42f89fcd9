"""News for open pages and waiting programs: what happened, as server-sent events.

Each thing is read from PostgreSQL once, however many watch. The format is the one of the HTML
Living Standard, 9.2 Server-sent events.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from anyio.to_thread import run_sync

from ouroboros.adapters.control.events import EVENTS_CHANNEL, EventFilter, EventReader
from ouroboros.adapters.control.leases import SLOTS_CHANNEL
from ouroboros.adapters.control.notices import Notice, Notices
from ouroboros.adapters.control.publishes import PUBLISHES_CHANNEL, STEPS_CHANNEL
from ouroboros.domain.errors import PreviewError
from ouroboros.entrypoints.http.admission import Admission

CHANNELS = (EVENTS_CHANNEL, PUBLISHES_CHANNEL, STEPS_CHANNEL, SLOTS_CHANNEL)
_MOST_WAITING = 1000
_BREATH_S = 15.0
_MISSED_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of news. Only events have an id, by which a reader goes on after a break."""

    kind: str
    """event | publish (a step began or ended) | slots (a slot changed hands) | missed"""
    data: Mapping[str, Any]
    id: int | None = None

    def frame(self) -> bytes:
        """The lines of a server-sent event."""
        number = "" if self.id is None else f"id: {self.id}\n"
        data = json.dumps(self.data, default=_text, ensure_ascii=True)
        return f"{number}event: {self.kind}\ndata: {data}\n\n".encode("ascii")


class News:
    """Reads what is notified and hands it to every stream that is open."""

    def __init__(self, notices: Notices, events: EventReader) -> None:
        self._notices = notices
        self._events = events
        self._lock = threading.Lock()
        self._streams: set[Callable[[Item | None], None]] = set()
        self._ended = False
        self._subscription = notices.subscribed(self._read)
        self._subscription.__enter__()

    def end(self) -> None:
        """End every stream, so that the server can stop; later ones end at once."""
        self._ended = True
        self._hand_out(None)

    async def follow(
        self, wanted: EventFilter, after: int | None, admission: Admission
    ) -> AsyncIterator[bytes]:
        """The frames for one reader: what it missed since the event `after`, then what happens.

        It ends with the reader's admission, and when the reader is `_MOST_WAITING` behind. An
        event that was committed late may come again after a break: readers tell by its id.
        """
        arrived: asyncio.Queue[Item | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def deliver(item: Item | None) -> None:
            loop.call_soon_threadsafe(keep, item)

        is_behind = asyncio.Event()

        def keep(item: Item | None) -> None:
            if arrived.qsize() < _MOST_WAITING:
                arrived.put_nowait(item)
            else:
                is_behind.set()

        with self._lock:
            self._streams.add(deliver)
        try:
            yield b"retry: 1000\n\n"
            while after is not None:
                missed = await run_sync(self._events.since, wanted, after, _MISSED_LIMIT)
                for row in missed:
                    yield _event(row).frame()
                after = missed[-1]["id"] if len(missed) == _MISSED_LIMIT else None
            while await admission.holds():
                if self._ended or is_behind.is_set():
                    return
                item = await _next(arrived)
                if item is None:
                    if not self._ended:
                        yield b": still here\n\n"
                elif _admitted(item, wanted):
                    yield item.frame()
        finally:
            with self._lock:
                self._streams.discard(deliver)

    def _read(self, notice: Notice) -> None:
        """Called in the listening thread."""
        with self._lock:
            if not self._streams:
                return
        item = self._item(notice)
        if item is not None:
            self._hand_out(item)

    def _item(self, notice: Notice) -> Item | None:
        match notice.channel:
            case "":
                return Item("missed", {})
            case channel if channel == EVENTS_CHANNEL:
                try:
                    row = self._events.get(int(notice.payload))
                except PreviewError:
                    return Item("missed", {})
                return None if row is None else _event(row)
            case channel if channel in (PUBLISHES_CHANNEL, STEPS_CHANNEL):
                return Item("publish", {"publish_id": notice.payload})
            case _:
                return Item("slots", {})

    def _hand_out(self, item: Item | None) -> None:
        with self._lock:
            streams = list(self._streams)
        for deliver in streams:
            try:
                deliver(item)
            except RuntimeError:
                continue  # its event loop has ended


async def _next(arrived: asyncio.Queue[Item | None]) -> Item | None:
    try:
        return await asyncio.wait_for(arrived.get(), _BREATH_S)
    except TimeoutError:
        return None


def _event(row: Mapping[str, Any]) -> Item:
    return Item("event", row, row["id"])


def _admitted(item: Item, wanted: EventFilter) -> bool:
    match item.kind:
        case "event":
            return wanted.admits(item.data)
        case "publish":
            return wanted.publish_id in (None, item.data["publish_id"])
        case _:
            return True


def _text(value: object) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
