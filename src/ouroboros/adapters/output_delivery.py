"""Brings the log of a running publish to those who watch it, without the build ever waiting.

The log file is the spool: a thread stores what was written since the last time, at once when it
is quiet and every 100 ms when it is not, and goes on where it stopped after an outage of
PostgreSQL. A worker that was killed leaves its rest to the next one.
"""

import threading
from contextlib import suppress

from ouroboros.adapters.control.output import OutputStore
from ouroboros.adapters.publish_log import PublishLog
from ouroboros.domain.errors import PreviewError
from ouroboros.domain.publish import Publish

_GATHER_S = 0.1
_RETRY_S = 0.5
_PART_BYTES = 64 * 1024


class OutputDelivery:
    """Delivers one publish's log until it is closed."""

    def __init__(self, publish: Publish, log: PublishLog, store: OutputStore) -> None:
        self._publish = publish
        self._log = log
        self._store = store
        self._stored: int | None = None
        self._one_at_a_time = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._deliver, name=f"output-{publish.publish_id}", daemon=True
        )
        self._thread.start()

    def finish(self) -> None:
        """Deliver all that was written; call it before the publish's end is recorded.

        Raises `control_plane_unreachable`.
        """
        with suppress(OSError):  # a full disk must not keep a publish from ending
            self._log.flush()
        self._store_new(whole=True)

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._log.written.set()
        self._thread.join()

    def _deliver(self) -> None:
        while True:
            self._log.written.wait()
            self._log.written.clear()
            if self._closed.is_set():
                return
            try:
                self._store_new()
                self._closed.wait(_GATHER_S)
            except (PreviewError, OSError):
                self._closed.wait(_RETRY_S)
                self._log.written.set()

    def _store_new(self, *, whole: bool = False) -> None:
        with self._one_at_a_time:
            while True:
                if self._stored is None:
                    self._stored = self._store.stored(self._publish.publish_id)
                part = self._log.part_after(self._stored, _PART_BYTES, whole=whole)
                if part is None:
                    return
                if self._store.append(self._publish, part):
                    self._stored = part.end
                elif self._stored == (stored := self._store.stored(self._publish.publish_id)):
                    return  # the publish is over: nobody adds to it any more
                else:
                    self._stored = stored
