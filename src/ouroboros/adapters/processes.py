"""Processes: the one module that owns `subprocess`.

Decides how anything of ours is started: under a guard (see `guard`), with an exact environment,
no inherited descriptors, and a way to end all of it, whatever it forked.
"""

import contextlib
import marshal
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM
from typing import IO, BinaryIO

from ouroboros.adapters import guard
from ouroboros.adapters.leftovers import MARKER, end_processes, read_marker
from ouroboros.domain.errors import Failed

# Imported and not run as a script, which Python would compile anew each time.
_RUN_GUARD = (
    "import sys; sys.path.append(sys.argv[1].rpartition('/')[0]); import guard; guard.main()"
)
_GUARD = (sys.executable, "-I", "-S", "-X", "utf8", "-c", _RUN_GUARD, guard.__file__)
_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class GuardedSpec:
    """What a guard starts and how it ends it.

    `fds` are sockets for the process, passed by the protocol of sd_listen_fds(3). With `log_path`
    the guard writes stdout and stderr there, in two generations of `log_limit_bytes`. `stop_all`
    says whether the stop signal goes to every descendant or to the process alone; after
    `grace_s` seconds all of them are killed. `yields_by` is how much it steps back for others, in
    steps of nice(2). It runs on the `processors` with these numbers, or else where its starter
    does. With `short_slices` it is let onto a processor sooner, and for a shorter time.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    fds: tuple[int, ...] = ()
    log_path: Path | None = None
    log_limit_bytes: int = 10 * 1024 * 1024
    stop_signal: int = SIGTERM
    stop_all: bool = True
    grace_s: float = 5.0
    yields_by: int = 0
    processors: tuple[int, ...] = ()
    short_slices: bool = False
    marker: str | None = None
    """The value of `PREVIEW_INSTANCE` for the process; None adds nothing to its environment."""

    def document(self) -> bytes:
        """The specification as the guard reads it: its length as a line, and then itself."""
        # marshal knows exactly the built-in types, and no text of a kind of its own.
        env = {str(key): str(value) for key, value in self.env.items()}
        if self.marker is not None:
            env[MARKER] = self.marker
        document = marshal.dumps(
            {
                "argv": tuple(map(str, self.argv)),
                "cwd": str(self.cwd),
                "env": env,
                "fds": self.fds,
                "log": None if self.log_path is None else str(self.log_path),
                "log_limit_bytes": self.log_limit_bytes,
                "stop_signal": int(self.stop_signal),
                "stop_all": self.stop_all,
                "grace_s": self.grace_s,
                "yields_by": self.yields_by,
                "processors": self.processors,
                "short_slices": self.short_slices,
            }
        )
        return b"%d\n" % len(document) + document


@dataclass(slots=True)
class GuardedProcess:
    """A process under its guard, as seen by whoever started it.

    `read_events` brings the fields up to date; `fileno` becomes readable when there is something
    to read. `exit_status` counts as a shell does: 128 + the signal. `gone` means that the guard
    has ended, and with it everything the process forked.
    """

    spec: GuardedSpec
    guard_pid: int
    _guard: "subprocess.Popen[bytes]"
    _control: socket.socket
    pid: int | None = None
    failure: tuple[str, int] | None = None
    exit_status: int | None = None
    gone: bool = False
    left: tuple[int, ...] = ()
    _unread: bytes = field(default=b"", repr=False)
    _said_done: bool = False

    @property
    def guard_was_killed(self) -> bool:
        """Whether the guard ended without finishing its work; ours was done in its place."""
        return self.gone and not self._said_done

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._control.fileno()

    def stop(self) -> None:
        """Ask for the end of everything: the stop signal, then SIGKILL after the grace time."""
        self._tell("stop")

    def kill(self) -> None:
        """End everything at once."""
        self._tell("kill")

    def run_on(self, processors: tuple[int, ...]) -> None:
        """Move it and all it started to these processors."""
        self._tell(f"run_on {' '.join(map(str, processors))}")

    def signal(self, number: int) -> None:
        """Send a signal to the process itself."""
        self._tell(f"signal {int(number)}")

    def read_events(self) -> None:
        """Take in what the guard has said; never blocks."""
        while not self.gone:
            try:
                chunk = self._control.recv(_CHUNK_BYTES)
            except BlockingIOError:
                return
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                self._settle()
                return
            self._unread += chunk
            while b"\n" in self._unread:
                line, _, self._unread = self._unread.partition(b"\n")
                self._take(line.decode().split())

    def wait(self, time_limit_s: float) -> bool:
        """Wait until nothing of the process is left; False when the limit came first."""
        deadline = time.monotonic() + time_limit_s
        with selectors.DefaultSelector() as selector:
            while not self.gone:
                remaining_s = deadline - time.monotonic()
                if remaining_s <= 0:
                    return False
                selector.register(self._control, selectors.EVENT_READ)
                selector.select(remaining_s)
                selector.unregister(self._control)
                self.read_events()
        return True

    def _take(self, words: list[str]) -> None:
        match words:
            case ["started", pid]:
                self.pid = int(pid)
            case ["failed", stage, number]:
                self.failure = (stage, int(number))
                self._said_done = True
            case ["exited", status]:
                self.exit_status = int(status)
            case ["done", *left]:
                self.left = tuple(map(int, left))
                self._said_done = True
            case _:
                raise AssertionError(f"the guard said {words!r}")

    def _settle(self) -> None:
        """Note that the guard is gone; if it was killed, do its work."""
        self._guard.wait()
        self._control.close()
        if not self._said_done:
            self._end_unguarded()
        self.gone = True

    def _end_unguarded(self) -> None:
        def is_ours(entry: guard.ProcessEntry) -> bool:
            marker = self.spec.marker
            in_session = self.pid is not None and entry.session == self.pid
            return in_session or (marker is not None and read_marker(entry.pid) == marker)

        end_processes(is_ours)

    def _tell(self, request: str) -> None:
        with contextlib.suppress(OSError):
            self._control.sendall(request.encode() + b"\n")


@dataclass(frozen=True, slots=True)
class Daemon:
    """A process that was left to itself, and the pipe on which it says how its start went."""

    pid: int
    said: IO[bytes]


def start_guarded(
    spec: GuardedSpec,
    stdin: BinaryIO | int = subprocess.DEVNULL,
    output: int = subprocess.DEVNULL,
) -> GuardedProcess:
    """Start a process under a guard of its own; returns before the process runs.

    `output` is a descriptor for stdout and stderr when there is no log. `started` or `failed`
    follow as events. Raises `process_not_started` when the guard itself cannot run.
    """
    ours, theirs = socket.socketpair()
    try:
        popen = subprocess.Popen(
            (*_GUARD, str(theirs.fileno()), spec.argv[0]),
            stdin=stdin,
            stdout=output,
            stderr=output,
            cwd="/",
            env={} if spec.marker is None else {MARKER: spec.marker},
            pass_fds=(theirs.fileno(), *spec.fds),
            start_new_session=True,
            umask=0o022,
        )
    except OSError as error:
        ours.close()
        raise Failed(
            "process_not_started", f"{sys.executable}: {error.strerror}", "check memory and limits"
        ) from error
    finally:
        theirs.close()
    # A guard that died already shows at the first `read_events`.
    with contextlib.suppress(OSError):
        ours.sendall(spec.document())
    ours.setblocking(False)
    return GuardedProcess(spec, popen.pid, popen, ours)


def start_daemon(
    argv: tuple[str, ...], cwd: Path, env: Mapping[str, str], log_path: Path
) -> Daemon:
    """Start a process that outlives this one, in a session of its own, unguarded.

    `{fd}` in `argv` becomes the descriptor of a pipe to this process: what the daemon writes
    there until it closes it is read from `said`.
    """
    read, written = os.pipe()
    said = os.fdopen(read, "rb")
    try:
        with log_path.open("ab") as log:
            popen = subprocess.Popen(
                tuple(item.replace("{fd}", str(written)) for item in argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=cwd,
                env=env,
                pass_fds=(written,),
                start_new_session=True,
            )
    except BaseException:
        said.close()
        raise
    finally:
        os.close(written)
    # Nobody waits for a daemon: when it ends before us, this avoids a warning about that.
    popen.returncode = 0
    return Daemon(popen.pid, said)
