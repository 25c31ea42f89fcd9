"""Runs commands to their end: the `CommandRunner` port over guarded processes.

Decides when a command has had enough time, output or patience, and what is kept of its output.
It is apart from `processes`, which only starts and ends things.
"""

import contextlib
import errno
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ouroboros.adapters.leftovers import make_marker
from ouroboros.adapters.processes import GuardedProcess, GuardedSpec, start_guarded
from ouroboros.domain.command import Command, Finished
from ouroboros.domain.errors import Failed, NotFound

_TAIL_BYTES = 64 * 1024
_CHUNK_BYTES = 64 * 1024
_ASK_EVERY_S = 0.05
_RUN_GRACE_S = 2.0


class ProcessRunner:
    """The `CommandRunner` port: runs a command to its end, and leaves nothing of it behind.

    `instance` marks the processes, so that they can be found when all of ours was killed. May be
    used from several threads at once.
    """

    def __init__(self, instance: str | None = None) -> None:
        self._instance = instance

    def run(
        self,
        command: Command,
        on_output: Callable[[bytes], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Finished:
        """Run a command to its end or to one of its limits; see `ouroboros.ports`.

        A command ended by signal N has exit status 128 + N. Raises `command_not_found`,
        `command_not_started`.
        """
        spec = GuardedSpec(
            command.argv,
            command.cwd,
            command.env,
            grace_s=_RUN_GRACE_S,
            yields_by=command.yields_by,
            marker=None if self._instance is None else make_marker(self._instance),
        )
        read, written = os.pipe()
        try:
            with _stdin_of(command) as stdin:
                process = start_guarded(spec, stdin, written)
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(written)
        try:
            return _Run(command, process, read, on_output, cancelled).finish()
        finally:
            os.close(read)


class _Run:
    """One run of a command, from its start to its result."""

    def __init__(
        self,
        command: Command,
        process: GuardedProcess,
        output: int,
        on_output: Callable[[bytes], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self._command = command
        self._process = process
        self._output = output
        self._on_output = on_output
        self._asked_to_stop = cancelled
        self._started_s = time.monotonic()
        self._tail = bytearray()
        self._output_bytes = 0
        self._timed_out = False
        self._limit_reached = False
        self._cancelled = False

    def finish(self) -> Finished:
        os.set_blocking(self._output, False)
        try:
            self._watch()
        except BaseException:
            # The caller's own callback failed or was interrupted: nothing may stay behind.
            self._process.kill()
            self._process.wait(2 * _RUN_GRACE_S + 10)
            raise
        self._raise_failure()
        status = self._process.exit_status
        return Finished(
            exit_status=status if status is not None else 128 + 9,
            duration_s=time.monotonic() - self._started_s,
            output=bytes(self._tail[-_TAIL_BYTES:]).decode("utf-8", "replace"),
            output_bytes=self._output_bytes,
            timed_out=self._timed_out,
            output_limit_reached=self._limit_reached,
            cancelled=self._cancelled,
        )

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._process, selectors.EVENT_READ)
            selector.register(self._output, selectors.EVENT_READ)
            while not self._process.gone:
                for key, _ in selector.select(_ASK_EVERY_S):
                    if key.fd != self._output:
                        self._process.read_events()
                    elif not self._read_output():
                        selector.unregister(self._output)
                self._check_limits()
        # The guard has ended every writer; what they wrote before is in the pipe.
        while self._read_output():
            pass

    def _read_output(self) -> bool:
        """Take one chunk; False at the end of file, or when there is nothing after the end."""
        try:
            chunk = os.read(self._output, _CHUNK_BYTES)
        except BlockingIOError:
            return not self._process.gone
        if not chunk:
            return False
        kept = chunk[: self._command.output_limit_bytes - self._output_bytes]
        if len(kept) < len(chunk) and not self._limit_reached:
            self._limit_reached = True
            self._process.kill()
        self._output_bytes += len(kept)
        self._tail += kept
        if len(self._tail) > 4 * _TAIL_BYTES:
            del self._tail[:-_TAIL_BYTES]
        if kept and self._on_output is not None:
            self._on_output(kept)
        return True

    def _check_limits(self) -> None:
        if self._timed_out or self._cancelled or self._process.gone:
            return
        if time.monotonic() - self._started_s > self._command.time_limit_s:
            self._timed_out = True
        elif self._asked_to_stop is not None and self._asked_to_stop():
            self._cancelled = True
        if self._timed_out or self._cancelled:
            self._process.stop()

    def _raise_failure(self) -> None:
        if self._process.failure is None:
            return
        stage, number = self._process.failure
        program = self._command.argv[0]
        if stage == "exec" and number in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
            path = self._command.env.get("PATH", os.defpath)
            raise NotFound(
                "command_not_found",
                f"{program}: {os.strerror(number)} (PATH={path})",
                f"install {Path(program).name}, or name it by its full path",
            )
        raise Failed(
            "command_not_started",
            f"{self._command.shown()} in {self._command.cwd}: {os.strerror(number)} ({stage})",
            "check that the directory exists and may be entered",
        )


@contextlib.contextmanager
def _stdin_of(command: Command) -> Iterator[BinaryIO | int]:
    """Standard input as a file in memory: it cannot block, whoever reads it how slowly."""
    if not command.stdin:
        yield subprocess.DEVNULL
        return
    with os.fdopen(os.memfd_create("stdin"), "w+b") as file:
        file.write(command.stdin)
        file.seek(0)
        yield file
