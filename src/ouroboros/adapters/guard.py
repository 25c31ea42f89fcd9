"""The guard: the parent of one process, which outlives nobody and leaves nobody behind.

Decides how a process is started and how everything it forked is ended. It is apart, imports
nothing of the house and runs in an interpreter of its own (`python -I -S`), because it
must still do its work when the process that asked for it was killed with SIGKILL. For the same
reason it is one file, and longer than others: an isolated script has no package to import from.
A dozen are started in a publish, so it imports only what is built in or was loaded with `os`:
typing, json, contextlib and signal's enumerations would cost more than all it does.

The guard is a child subreaper (prctl(2)): a descendant that double-forks or calls setsid is
reparented to it and cannot leave. Its control socket is a pipe to whoever started it: lines of
words in both directions, and end of file means that the starter is gone, so everything is ended.

To the guard: the length of the specification as a line, the specification (marshal: both ends are
the same interpreter), then `stop`, `kill`, `signal N`, `run_on N…` (processors). From it:
`started PID`, `failed STAGE ERRNO`, `exited STATUS` (as a shell counts it: 128 + signal),
`done PID…` (those that could not be ended; normally none).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import marshal
import os
import select
import struct
import sys
import time
from _collections_abc import Collection, Iterable, Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Any, NoReturn
else:
    import _signal as signal

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_WALL = 0x40000000  # also children that do not signal their end (wait(2))
_FIRST_PASSED_FD = 3
_FD_OUT_OF_THE_WAY = 100
_READ_BYTES = 65536
_UNKILLABLE_AFTER_S = 10.0
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
_SLICE_NS = 1_000_000  # about what an answer takes (ADR 0032)


class ProcessEntry:
    """One line of the process table. `started` is in clock ticks since boot (proc(5), field 22)."""

    __slots__ = ("parent", "pid", "session", "started", "state")

    def __init__(self, pid: int, fields: list[bytes]) -> None:
        self.pid = pid
        self.state = fields[0].decode()
        self.parent = int(fields[1])
        self.session = int(fields[3])
        self.started = int(fields[19])


def read_process(pid: int) -> ProcessEntry | None:
    """The process with this id, or None when there is none (any more)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return ProcessEntry(pid, fields)


def list_processes() -> Iterator[ProcessEntry]:
    """Every process that this process can see."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            entry = read_process(int(name))
            if entry is not None:
                yield entry


def list_descendants(ancestor: int) -> list[ProcessEntry]:
    """Every live descendant of a process; zombies are left out, they only wait to be reaped."""
    children: dict[int, list[ProcessEntry]] = {}
    for entry in list_processes():
        children.setdefault(entry.parent, []).append(entry)
    found: list[ProcessEntry] = []
    queue = [ancestor]
    while queue:
        offspring = children.pop(queue.pop(), [])
        queue.extend(entry.pid for entry in offspring)
        found.extend(entry for entry in offspring if entry.state not in "ZX")
    return found


def send_signal(entry: ProcessEntry, number: int) -> None:
    """Signal exactly this process; nothing happens when its id belongs to another by now."""
    try:
        pidfd = os.pidfd_open(entry.pid)
        try:
            now = read_process(entry.pid)
            if now is not None and now.started == entry.started:
                signal.pidfd_send_signal(pidfd, number)
        finally:
            os.close(pidfd)
    except (ProcessLookupError, PermissionError):
        pass


def set_child_subreaper() -> None:
    """Let orphans among our descendants be reparented to this process (prctl(2))."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class _Log:
    """A size-capped log file: `path` and one older generation, `path.1`.

    Two guards may write one log while a candidate takes over; each notices that the other has
    turned the page. A full disk loses output and never stops the process that writes it.
    """

    def __init__(self, path: str, limit_bytes: int) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._fd = -1

    def write(self, chunk: bytes) -> None:
        try:
            self._turn_page_if_full()
            os.write(self._fd, chunk)
        except OSError:
            self._close()

    def _turn_page_if_full(self) -> None:
        if self._fd >= 0 and not self._is_current():
            self._close()
        if self._fd < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self._path, flags, 0o600)
        if os.fstat(self._fd).st_size >= self._limit_bytes:
            os.replace(self._path, self._path + ".1")
            self._close()
            self._turn_page_if_full()

    def _is_current(self) -> bool:
        try:
            return os.stat(self._path).st_ino == os.fstat(self._fd).st_ino
        except FileNotFoundError:
            return False

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _Guard:
    """Watches one process from its start until nothing of it is left."""

    def __init__(self, control: int, unread: bytes, spec: dict[str, Any]) -> None:
        self._control = control
        self._unread = unread
        self._spec = spec
        self._main = 0
        self._exited = False
        self._is_alone = False
        self._kill_at: float | None = None
        self._output = -1
        self._log = _Log(spec["log"], spec["log_limit_bytes"]) if spec["log"] else None
        self._poll = select.poll()
        self._signals = _open_signal_pipe()

    def run(self) -> None:
        if not self._start():
            return
        self._poll.register(self._control, select.POLLIN)
        self._poll.register(self._signals, select.POLLIN)
        if self._output >= 0:
            self._poll.register(self._output, select.POLLIN)
        self._obey_lines()
        while not self._exited:
            self._turn()
        left = self._end_descendants()
        self._copy_output(everything=True)
        self._tell("done", *left)

    def _start(self) -> bool:
        written = -1
        if self._log is not None:
            self._output, written = os.pipe()
            os.set_blocking(self._output, False)
        failed_read, failed_written = os.pipe()
        guard_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become_command(self._spec, written, failed_written, guard_pid)
        os.close(failed_written)
        for fd in [*self._spec["fds"], written]:
            if fd >= 0:
                os.close(fd)
        _forget_standard_streams()
        failure = os.read(failed_read, 100).decode()
        os.close(failed_read)
        if failure:
            os.waitpid(pid, 0)
            stage, _, number = failure.partition(" ")
            self._tell("failed", stage, number)
            return False
        self._main = pid
        self._tell("started", pid)
        return True

    def _turn(self) -> None:
        wait_ms = None
        if self._kill_at is not None:
            wait_ms = max(0, int((self._kill_at - time.monotonic()) * 1000) + 1)
        for fd, _ in self._poll.poll(wait_ms):
            if fd == self._control:
                self._read_control()
            elif fd == self._output:
                self._copy_output()
            else:
                self._read_signals()
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._end_descendants()

    def _read_control(self) -> None:
        try:
            chunk = os.read(self._control, _READ_BYTES)
        except OSError:
            chunk = b""
        if not chunk:
            self._poll.unregister(self._control)
            self._stop()
        self._unread += chunk
        self._obey_lines()

    def _obey_lines(self) -> None:
        while b"\n" in self._unread:
            line, _, self._unread = self._unread.partition(b"\n")
            verb, *numbers = line.decode().split()
            if verb == "stop":
                self._stop()
            elif verb == "kill":
                self._kill_at = time.monotonic()
            elif verb == "signal" and not self._exited:
                os.kill(self._main, int(numbers[0]))
            elif verb == "run_on":
                _run_on(map(int, numbers))

    def _read_signals(self) -> None:
        try:
            if set(os.read(self._signals, 512)) - {signal.SIGCHLD}:
                self._stop()
        except BlockingIOError:
            pass
        self._reap()

    def _stop(self) -> None:
        """Ask the process to end by itself; its time of grace begins with the first request."""
        if self._exited or self._kill_at is not None:
            return
        self._kill_at = time.monotonic() + self._spec["grace_s"]
        number = self._spec["stop_signal"]
        if self._spec["stop_all"]:
            for entry in list_descendants(os.getpid()):
                send_signal(entry, number)
        else:
            os.kill(self._main, number)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | _WALL)
            except ChildProcessError:
                self._is_alone = True
                return
            if pid == 0:
                return
            if pid == self._main:
                code = os.waitstatus_to_exitcode(status)
                self._exited = True
                self._tell("exited", code if code >= 0 else 128 - code)

    def _end_descendants(self) -> list[int]:
        """Kill until nobody is left: stop all of them first, so that no one forks on meanwhile.

        Orphans are this process's children, so who has none has no descendants either, and need
        not look at all processes there are.
        """
        give_up_at = time.monotonic() + _UNKILLABLE_AFTER_S
        while True:
            self._reap()
            found = [] if self._is_alone else list_descendants(os.getpid())
            if not found or time.monotonic() > give_up_at:
                self._reap()  # who died since the last time; nobody else would
                self._exited = True
                return [entry.pid for entry in found]
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for entry in found:
                    send_signal(entry, number)
            select.select([self._signals], [], [], 0.005)
            self._read_signals()

    def _copy_output(self, everything: bool = False) -> None:
        while self._log is not None and self._output >= 0:
            try:
                chunk = os.read(self._output, _READ_BYTES)
            except BlockingIOError:
                return
            if not chunk:
                self._poll.unregister(self._output)
                os.close(self._output)
                self._output = -1
                return
            self._log.write(chunk)
            if not everything:
                return

    def _tell(self, *words: object) -> None:
        try:
            os.write(self._control, " ".join(map(str, words)).encode() + b"\n")
        except OSError:
            pass  # the starter is gone, which its end of file tells


def _become_command(spec: dict[str, Any], output: int, failed: int, guard_pid: int) -> NoReturn:
    """In the forked child: everything that makes it the command. Ends in exec or in exit."""
    stage = "setup"
    try:
        failed = fcntl.fcntl(failed, fcntl.F_DUPFD_CLOEXEC, _FD_OUT_OF_THE_WAY)
        os.setsid()
        _let_run_on(0, spec["processors"])
        if spec["short_slices"]:
            _take_short_slices()
        # The last word when the guard itself is killed; a change of uid by the command clears it.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard_pid:
            os._exit(127)
        os.umask(0o022)
        try:
            os.nice(spec["yields_by"])
        except PermissionError:
            pass  # a hardened unit forbids it, and weighs its children itself
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        env = dict(spec["env"])
        if output >= 0:
            os.dup2(output, 1)
            os.dup2(output, 2)
        if spec["fds"]:
            _place_listeners(spec["fds"])
            env |= {"LISTEN_FDS": str(len(spec["fds"])), "LISTEN_PID": str(os.getpid())}
        stage = "cwd"
        os.chdir(spec["cwd"])
        stage = "exec"
        os.execvpe(spec["argv"][0], spec["argv"], env)  # noqa: S606
    except (OSError, ValueError) as error:
        os.write(failed, f"{stage} {getattr(error, 'errno', None) or errno.EINVAL}".encode())
    finally:
        os._exit(127)


def _run_on(processors: Iterable[int]) -> None:
    """Let every thread of every descendant run on these processors, and on no others."""
    wanted = tuple(processors)
    for entry in list_descendants(os.getpid()):
        try:
            for thread in os.listdir(f"/proc/{entry.pid}/task"):
                _let_run_on(int(thread), wanted)
        except OSError:
            pass  # it has ended meanwhile


def _let_run_on(thread: int, processors: Collection[int]) -> None:
    """The same for one thread; without a processor it stays where it is."""
    try:
        if processors:
            os.sched_setaffinity(thread, processors)
    except OSError:
        pass  # it has ended, or none of the processors is there any more


def _take_short_slices() -> None:
    """Ask for short time slices (sched_setattr(2)): Linux lets such a process run before others
    whose slices are longer, as soon as it wakes. Elsewhere nothing happens.
    """
    number = _SCHED_SETATTR.get(os.uname().machine)
    if number is not None:
        # struct sched_attr: size, policy (SCHED_OTHER), flags, nice, priority, runtime in ns, …
        wanted = struct.pack("=IIQiIQQQ", 48, 0, 0, os.nice(0), 0, _SLICE_NS, 0, 0)
        ctypes.CDLL(None).syscall(number, 0, wanted, 0)


def _place_listeners(fds: list[int]) -> None:
    """Put the passed sockets on 3, 4, … as sd_listen_fds(3) wants them."""
    parked = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FD_OUT_OF_THE_WAY) for fd in fds]
    for fd in fds:
        os.close(fd)
    for position, fd in enumerate(parked):
        os.dup2(fd, _FIRST_PASSED_FD + position)


def _forget_standard_streams() -> None:
    """Let go of the command's pipes: their reader waits for the last writer to close."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(nothing, fd)
    os.close(nothing)


def _open_signal_pipe() -> int:
    read, written = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(written, False)
    signal.set_wakeup_fd(written, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return read


def main() -> None:
    """Read the specification from the control socket and guard the process it describes."""
    control = int(sys.argv[2])
    os.set_inheritable(control, False)
    set_child_subreaper()
    received = b""
    length = -1
    while length < 0 or len(received) < length:
        chunk = os.read(control, _READ_BYTES)
        if not chunk:
            return
        received += chunk
        if length < 0 and b"\n" in received:
            line, _, received = received.partition(b"\n")
            length = int(line)
    _Guard(control, received[length:], marshal.loads(received[:length])).run()  # noqa: S302
    os._exit(0)  # nothing is left to do, and the end of Python would take as long as its start
