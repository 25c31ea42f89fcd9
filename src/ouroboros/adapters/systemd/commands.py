"""Commands on a host: ours run as everywhere, those of a branch in a unit of their slot.

It is the `CommandRunner` port over the steward. Output comes through a pipe whose end the steward
hands to the unit, so its limit is kept here, as in local mode.
"""

import contextlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ouroboros.adapters.supervisor_client import read_error
from ouroboros.adapters.unix_sockets import connect_unix
from ouroboros.adapters.watched_command import WatchedCommand
from ouroboros.domain.command import Command, Finished
from ouroboros.domain.errors import Failed, NotFound, Unhealthy
from ouroboros.ports import CommandRunner

_CHUNK_BYTES = 64 * 1024
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
                unit = _Unit(connection)
                watched = WatchedCommand(command, unit, read, on_output, cancelled)
                return _finish(watched, command, unit)
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


class _Unit:
    """A command that the steward runs in a unit, as what is watched."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._answer = bytearray()

    def fileno(self) -> int:
        return self._connection.fileno()

    @property
    def gone(self) -> bool:
        return self._answer.endswith(b"\n")

    def read_events(self) -> None:
        chunk = self._connection.recv(_CHUNK_BYTES)
        if not chunk:
            raise Failed("steward_failed", "the steward ended while a command ran", "publish again")
        self._answer += chunk

    def stop(self) -> None:
        """Let the steward end the unit; it still answers how it ended."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    kill = stop

    def answer(self) -> dict[str, Any]:
        """How the unit ended; raises what the steward answers."""
        found: dict[str, Any] = json.loads(self._answer)
        if not found.pop("ok", False):
            raise read_error(found)
        return found


def _finish(watched: WatchedCommand, command: Command, unit: _Unit) -> Finished:
    watched.watch()
    answer = unit.answer()
    status = int(answer["exit_status"])
    if status == _NOT_FOUND and _NO_SUCH_PROGRAM in watched.tail:
        raise NotFound(
            "command_not_found",
            f"{command.argv[0]} is not on the path of {command.slot_id}",
            f"install {Path(command.argv[0]).name}, or name it by its full path",
        )
    return watched.finished(status, timed_out=answer["result"] == "timeout")
