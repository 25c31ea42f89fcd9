"""Waiting for the control plane's word: one listening connection for a whole process.

Many runs may wait for a slot at once; a connection for each would use up PostgreSQL's.
"""

import threading

import psycopg

_RETRY_S = 0.5


class ChangeListener:
    """Wakes whoever waits when something is notified on its channel."""

    def __init__(self, dsn: str, channel: str) -> None:
        """Begins to listen in a thread that ends with the process."""
        self._dsn = dsn
        self._channel = channel
        self._changed = threading.Condition()
        threading.Thread(target=self._listen, name=f"listen-{channel}", daemon=True).start()

    def wait(self, seconds: float) -> None:
        """Return after a notification, or after `seconds`."""
        with self._changed:
            self._changed.wait(seconds)

    def _listen(self) -> None:
        while True:
            try:
                with psycopg.connect(self._dsn, autocommit=True) as connection:
                    connection.execute(f"LISTEN {self._channel}")
                    self._tell()
                    for _ in connection.notifies():
                        self._tell()
            except psycopg.Error:
                # Whoever waits looks again by himself; the pool tells why PostgreSQL is away.
                threading.Event().wait(_RETRY_S)

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()
