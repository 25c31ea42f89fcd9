"""Notices of the control plane, handed to many readers over one listening connection.

It is apart from `listener` because a page must know WHAT happened, and must be woken on the event
loop of the API; a connection for each open page would use up PostgreSQL's.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

_RETRY_S = 0.5


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification. An empty channel means: some may have been missed, look again."""

    channel: str
    payload: str


Deliver = Callable[[Notice], None]


class Notices:
    """Hands every notification on its channels to everybody who subscribed."""

    def __init__(self, dsn: str, channels: Sequence[str]) -> None:
        """Begins to listen in a thread that ends with the process."""
        self._dsn = dsn
        self._channels = tuple(channels)
        self._lock = threading.Lock()
        self._readers: set[Deliver] = set()
        threading.Thread(target=self._listen, name="notices", daemon=True).start()

    @contextmanager
    def subscribed(self, deliver: Deliver) -> Iterator[None]:
        """Call `deliver` for every notice, from the listening thread, until the block ends.

        `deliver` must return at once and must not raise.
        """
        with self._lock:
            self._readers.add(deliver)
        try:
            yield
        finally:
            with self._lock:
                self._readers.discard(deliver)

    def _listen(self) -> None:
        while True:
            try:
                with psycopg.connect(self._dsn, autocommit=True) as connection:
                    for channel in self._channels:
                        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                    self._tell(Notice("", ""))
                    for found in connection.notifies():
                        self._tell(Notice(found.channel, found.payload))
            except psycopg.Error:
                # Readers look again when the connection is back; the pool tells why it is away.
                threading.Event().wait(_RETRY_S)

    def _tell(self, notice: Notice) -> None:
        with self._lock:
            readers = list(self._readers)
        for deliver in readers:
            deliver(notice)
