"""Runs commands to their end: the `CommandRunner` port over guarded processes.

Joins the two halves: `processes` starts and ends things, `watched_command` decides when a command
has had enough.
"""

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ouroboros.adapters.leftovers import make_marker
from ouroboros.adapters.processes import GuardedProcess, GuardedSpec, start_guarded
from ouroboros.adapters.watched_command import WatchedCommand
from ouroboros.domain.command import Command, Finished
from ouroboros.domain.errors import Failed, NotFound

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
            watched = WatchedCommand(command, process, read, on_output, cancelled)
            return _finish(watched, command, process)
        finally:
            os.close(read)


def _finish(watched: WatchedCommand, command: Command, process: GuardedProcess) -> Finished:
    try:
        watched.watch()
    except BaseException:
        # The caller's own callback failed or was interrupted: nothing may stay behind.
        process.kill()
        process.wait(2 * _RUN_GRACE_S + 10)
        raise
    _raise_failure(command, process)
    return watched.finished(128 + 9 if process.exit_status is None else process.exit_status)


def _raise_failure(command: Command, process: GuardedProcess) -> None:
    if process.failure is None:
        return
    stage, number = process.failure
    program = command.argv[0]
    if stage == "exec" and number in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
        path = command.env.get("PATH", os.defpath)
        raise NotFound(
            "command_not_found",
            f"{program}: {os.strerror(number)} (PATH={path})",
            f"install {Path(program).name}, or name it by its full path",
        )
    raise Failed(
        "command_not_started",
        f"{command.shown()} in {command.cwd}: {os.strerror(number)} ({stage})",
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
