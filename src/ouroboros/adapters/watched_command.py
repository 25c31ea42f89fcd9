"""Watching a command until it has ended: its output, its limits, and whether it is still wanted.

Decides when a command has had enough time, output or patience, and what is kept of its output. It
is apart from how a command is started and ended, which is another thing for a guarded process and
for a unit of systemd.
"""

import os
import selectors
import time
from collections.abc import Callable
from typing import Protocol

from ouroboros.domain.command import Command, Finished

_TAIL_BYTES = 64 * 1024
_CHUNK_BYTES = 64 * 1024
_ASK_EVERY_S = 0.05


class Watched(Protocol):
    """What runs a command: tells on a descriptor what happens to it, and ends when it is told."""

    def fileno(self) -> int:
        """What can be read when there are events."""
        ...

    @property
    def gone(self) -> bool:
        """Whether it has ended, with all that wrote to its output."""
        ...

    def read_events(self) -> None:
        """Take in what happened."""
        ...

    def stop(self) -> None:
        """Let it end, in its own time if it hurries."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...


class WatchedCommand:
    """One command, from its start to its result. `output` is a descriptor that stays open."""

    def __init__(
        self,
        command: Command,
        runner: Watched,
        output: int,
        on_output: Callable[[bytes], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self._command = command
        self._runner = runner
        self._output = output
        self._on_output = on_output
        self._asked_to_stop = cancelled
        self._started_s = time.monotonic()
        self._output_bytes = 0
        self._timed_out = self._limit_reached = self._cancelled = False
        self.tail = bytearray()
        """The end of the output."""

    def watch(self) -> None:
        """Return when the command has ended and all its output was taken.

        Raises what `on_output` and `cancelled` raise; the command still runs then.
        """
        os.set_blocking(self._output, False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._runner, selectors.EVENT_READ)
            selector.register(self._output, selectors.EVENT_READ)
            while not self._runner.gone:
                for key, _ in selector.select(_ASK_EVERY_S):
                    if key.fd != self._output:
                        self._runner.read_events()
                    elif not self._read_output():
                        selector.unregister(self._output)
                self._check_limits()
        # Every writer has ended; what they wrote before is in the pipe.
        while self._read_output():
            pass

    def finished(self, exit_status: int, *, timed_out: bool = False) -> Finished:
        """How it ended; `timed_out` says that whoever ran it has noticed that by itself."""
        return Finished(
            exit_status=exit_status,
            duration_s=time.monotonic() - self._started_s,
            output=bytes(self.tail[-_TAIL_BYTES:]).decode("utf-8", "replace"),
            output_bytes=self._output_bytes,
            timed_out=self._timed_out or timed_out,
            output_limit_reached=self._limit_reached,
            cancelled=self._cancelled,
        )

    def _read_output(self) -> bool:
        """Take one chunk; False at the end of file, or when there is nothing after the end."""
        try:
            chunk = os.read(self._output, _CHUNK_BYTES)
        except BlockingIOError:
            return not self._runner.gone
        if not chunk:
            return False
        kept = chunk[: self._command.output_limit_bytes - self._output_bytes]
        if len(kept) < len(chunk) and not self._limit_reached:
            self._limit_reached = True
            self._runner.kill()
        self._output_bytes += len(kept)
        self.tail += kept
        if len(self.tail) > 4 * _TAIL_BYTES:
            del self.tail[:-_TAIL_BYTES]
        if kept and self._on_output is not None:
            self._on_output(kept)
        return True

    def _check_limits(self) -> None:
        if self._timed_out or self._cancelled or self._runner.gone:
            return
        if time.monotonic() - self._started_s > self._command.time_limit_s:
            self._timed_out = True
        elif self._asked_to_stop is not None and self._asked_to_stop():
            self._cancelled = True
        if self._timed_out or self._cancelled:
            self._runner.stop()
