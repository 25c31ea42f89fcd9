"""Waiting for the control plane's word: one listening connection for a whole process.

Many runs may wait for a slot at once; a connection for each would use up PostgreSQL's.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

_RETRY_S = 0.5


class ChangeListener:
    """Wakes whoever waits when something is notified on its channels."""

    def __init__(self, dsn: str, *channels: str) -> None:
        """Begins to listen in a thread that ends with the process."""
        self._dsn = dsn
        self._channels = channels
        self._changed = threading.Condition()
        self._told = 0
        self._called: dict[object, tuple[str, str, Callable[[], object]]] = {}
        threading.Thread(target=self._listen, name=f"listen-{channels[0]}", daemon=True).start()

    def follow(self) -> Callable[[float], None]:
        """A wait for one follower: `wait(seconds)` returns early when something was told.

        What was told since the wait before counts, too, and before the first one what was told
        since this call: who looks, finds nothing and waits misses nothing that came in between.
        """
        seen = self._told

        def wait(seconds: float) -> None:
            nonlocal seen
            with self._changed:
                self._changed.wait_for(lambda: self._told != seen, seconds)
                seen = self._told

        return wait

    @contextmanager
    def calling(self, channel: str, payload: str, call: Callable[[], object]) -> Iterator[None]:
        """Call something, from the listener's thread, whenever a channel tells this payload.

        It is also called when notifications may have been missed, and must neither wait nor fail.
        """
        key = object()
        with self._changed:
            self._called[key] = channel, payload, call
        try:
            yield
        finally:
            with self._changed:
                del self._called[key]

    def _listen(self) -> None:
        while True:
            try:
                with psycopg.connect(self._dsn, autocommit=True) as connection:
                    for channel in self._channels:
                        connection.execute(f"LISTEN {channel}")
                    self._tell()
                    for notified in connection.notifies():
                        self._tell((notified.channel, notified.payload))
            except psycopg.Error:
                # Whoever waits looks again by himself; the pool tells why PostgreSQL is away.
                threading.Event().wait(_RETRY_S)

    def _tell(self, notified: tuple[str, str] | None = None) -> None:
        with self._changed:
            self._told += 1
            self._changed.notify_all()
            for channel, payload, call in self._called.values():
                if notified in (None, (channel, payload)):
                    call()
