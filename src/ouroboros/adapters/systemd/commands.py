"""Commands on a host: ours run as everywhere, those of a branch in a unit of their slot.

It is the `CommandRunner` port over the steward. Output comes through a pipe whose end the steward
hands to the unit, so its limit is kept here, as in local mode.
"""

import contextlib
import json
import os
import selectors
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ouroboros.adapters.supervisor_client import read_error
from ouroboros.adapters.unix_sockets import connect_unix
from ouroboros.domain.command import Command, Finished
from ouroboros.domain.errors import Failed, NotFound, Unhealthy
from ouroboros.ports import CommandRunner

_TAIL_BYTES = 64 * 1024
_CHUNK_BYTES = 64 * 1024
_ASK_EVERY_S = 0.05
_START_AND_END_S = 60.0
_NOT_FOUND = 127
_NO_SUCH_PROGRAM = b"ouroboros: command not found: "


class UnitRunner:
    """Runs commands of branches through the steward, and all others by `ours`."""

    def __init__(self, socket_path: Path, ours: CommandRunner) -> None:
        self._socket_path = socket_path
        self._ours = ours

    def run(
        self,
        command: Command,
        on_output: Callable[[bytes], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Finished:
        """See `CommandRunner.run`; raises `steward_unreachable` also."""
        if not command.slot_id:
            return self._ours.run(command, on_output, cancelled)
        read, written = os.pipe()
        try:
            connection = self._ask(command, written)
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(written)
        try:
            with connection:
                return _Run(command, connection, read, on_output, cancelled).finish()
        finally:
            os.close(read)

    def _ask(self, command: Command, output: int) -> socket.socket:
        request = {
            "slot": command.slot_id,
            "argv": command.argv,
            "cwd": str(command.cwd),
            "env": dict(command.env),
            "time_limit_s": command.time_limit_s,
            "network": command.needs_network,
        }
        try:
            connection = connect_unix(self._socket_path, _START_AND_END_S)
            line = json.dumps(request).encode() + b"\n"
            sent = socket.send_fds(connection, [line], [output])
            connection.sendall(line[sent:])
        except OSError as error:
            raise Unhealthy(
                "steward_unreachable",
                f"nothing answers on {self._socket_path}",
                "systemctl status ouroboros-steward.service",
            ) from error
        return connection


class _Run:
    """One command, from its start to its result."""

    def __init__(
        self,
        command: Command,
        connection: socket.socket,
        output: int,
        on_output: Callable[[bytes], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self._command = command
        self._connection = connection
        self._output = output
        self._on_output = on_output
        self._asked_to_stop = cancelled
        self._started_s = time.monotonic()
        self._tail = bytearray()
        self._answer = bytearray()
        self._output_bytes = 0
        self._timed_out = self._limit_reached = self._cancelled = False

    def finish(self) -> Finished:
        os.set_blocking(self._output, False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection, selectors.EVENT_READ)
            selector.register(self._output, selectors.EVENT_READ)
            while not self._answer.endswith(b"\n"):
                for key, _ in selector.select(_ASK_EVERY_S):
                    if key.fileobj is self._connection:
                        self._read_answer()
                    elif not self._read_output():
                        selector.unregister(self._output)
                self._check_limits()
        # The unit has ended with all its writers; what they wrote before is in the pipe.
        while self._read_output():
            pass
        return self._finished(json.loads(self._answer))

    def _finished(self, answer: dict[str, Any]) -> Finished:
        if not answer.pop("ok", False):
            raise read_error(answer)
        status = int(answer["exit_status"])
        if status == _NOT_FOUND and _NO_SUCH_PROGRAM in self._tail:
            raise NotFound(
                "command_not_found",
                f"{self._command.argv[0]} is not on the path of {self._command.slot_id}",
                f"install {Path(self._command.argv[0]).name}, or name it by its full path",
            )
        return Finished(
            exit_status=status,
            duration_s=time.monotonic() - self._started_s,
            output=bytes(self._tail[-_TAIL_BYTES:]).decode("utf-8", "replace"),
            output_bytes=self._output_bytes,
            timed_out=self._timed_out or answer["result"] == "timeout",
            output_limit_reached=self._limit_reached,
            cancelled=self._cancelled,
        )

    def _read_answer(self) -> None:
        chunk = self._connection.recv(_CHUNK_BYTES)
        if not chunk:
            raise Failed("steward_failed", "the steward ended while a command ran", "publish again")
        self._answer += chunk

    def _read_output(self) -> bool:
        """Take one chunk; False at the end of file, or when nothing is there after the end."""
        try:
            chunk = os.read(self._output, _CHUNK_BYTES)
        except BlockingIOError:
            return not self._answer
        if not chunk:
            return False
        kept = chunk[: self._command.output_limit_bytes - self._output_bytes]
        if len(kept) < len(chunk) and not self._limit_reached:
            self._limit_reached = True
            self._stop()
        self._output_bytes += len(kept)
        self._tail += kept
        if len(self._tail) > 4 * _TAIL_BYTES:
            del self._tail[:-_TAIL_BYTES]
        if kept and self._on_output is not None:
            self._on_output(kept)
        return True

    def _check_limits(self) -> None:
        if self._timed_out or self._cancelled or self._answer:
            return
        if time.monotonic() - self._started_s > self._command.time_limit_s:
            self._timed_out = True
        elif self._asked_to_stop is not None and self._asked_to_stop():
            self._cancelled = True
        if self._timed_out or self._cancelled:
            self._stop()

    def _stop(self) -> None:
        """Let the steward end the unit; it still answers how it ended."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
