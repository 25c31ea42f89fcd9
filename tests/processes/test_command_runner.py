"""Commands run to their end, and nothing of them is left, whatever they did."""

import os
import platform
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ouroboros.adapters.command_runner import ProcessRunner
from ouroboros.adapters.guard import list_processes
from ouroboros.adapters.leftovers import list_marked, read_marker
from ouroboros.adapters.processes import GuardedSpec, start_guarded
from ouroboros.domain.command import Command, Finished
from ouroboros.domain.errors import Failed, NotFound

PATH = "/usr/local/bin:/usr/bin:/bin"


def python(code: str, *arguments: str, **limits) -> Command:
    limits.setdefault("env", {"PATH": PATH})
    return Command((sys.executable, "-I", "-S", "-c", code, *arguments), Path("/tmp"), **limits)


def run(command: Command, **options) -> Finished:
    return ProcessRunner().run(command, **options)


def is_alive(pid: int) -> bool:
    return any(entry.pid == pid and entry.state not in "ZX" for entry in list_processes())


DAEMON = """
import os, sys, time
# The classical daemon: fork, setsid, fork, close everything, forget the environment.
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        with open(sys.argv[1], "w") as file: file.write(str(os.getpid()))
        os.closerange(0, 100)
        os.execve("/bin/sleep", ["sleep", "600"], {})
    os._exit(0)
while not os.path.exists(sys.argv[1]) or not open(sys.argv[1]).read(): time.sleep(0.005)
"""


def test_a_command_s_output_and_exit_status_come_back() -> None:
    finished = run(python("import sys; print('out'); sys.stdout.flush(); sys.exit(7)"))
    assert (finished.exit_status, finished.output, finished.output_bytes) == (7, "out\n", 4)
    assert not finished.succeeded


def test_stdout_and_stderr_keep_their_order() -> None:
    code = "import os\nfor n in range(50): os.write(1 + n % 2, b'%d ' % n)"
    assert run(python(code)).output.split() == [str(n) for n in range(50)]


def test_the_environment_is_exactly_the_given_one() -> None:
    command = Command(("/usr/bin/env",), Path("/"), {"A": "1", "B": "zwei und drei"})
    assert run(command).output == "A=1\nB=zwei und drei\n"


def test_a_marked_command_has_one_variable_more_and_is_found_by_it() -> None:
    code = "import os, time; print(os.environ['PREVIEW_INSTANCE'], flush=True); time.sleep(60)"
    seen: list[str] = []

    def cancelled() -> bool:
        if shown:
            seen.extend(str(read_marker(entry.pid)) for entry in list_marked("tested"))
        return bool(seen)

    shown: list[bytes] = []
    ProcessRunner("tested").run(python(code), shown.append, cancelled)
    assert set(seen) == {shown[0].decode().strip()}
    assert len(seen) == 2  # the guard and the command
    assert list_marked("tested") == []


def test_a_command_gets_its_stdin_umask_and_no_descriptor_of_ours() -> None:
    secret = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(secret, True)
    code = (
        "import os, sys\n"
        "text = sys.stdin.read()\n"
        "fds = os.listdir('/proc/self/fd')\n"
        "fds = [fd for fd in fds if os.path.exists('/proc/self/fd/' + fd)]\n"
        "print(len(text), oct(os.umask(0)), sorted(fds), os.getsid(0) == os.getpid())"
    )
    try:
        finished = run(python(code, stdin=b"x" * 3_000_000))
    finally:
        os.close(secret)
    assert finished.output == "3000000 0o22 ['0', '1', '2'] True\n"


def test_a_command_that_yields_does_so_with_all_it_starts() -> None:
    code = "import os, subprocess; print(os.nice(0), flush=True); subprocess.run(['nice'])"
    own = os.nice(0)
    assert run(python(code)).output.split() == [str(own)] * 2
    assert run(python(code, yields_by=7)).output.split() == [str(min(own + 7, 19))] * 2


def test_short_slices_are_asked_for_and_kept_by_what_is_started() -> None:
    if platform.machine() != "x86_64":
        pytest.skip("the test knows the number of sched_getattr(2) for x86_64 alone")
    code = (
        "import ctypes, struct; told = ctypes.create_string_buffer(48);"
        "ctypes.CDLL(None).syscall(315, 0, told, 48, 0);"
        "print(struct.unpack('=IIQiIQQQ', told.raw)[5])"
    )
    argv = (sys.executable, "-c", code)
    shown = {}
    for short in (False, True):
        read, written = os.pipe()
        spec = GuardedSpec(argv, Path("/"), {}, short_slices=short)
        process = start_guarded(spec, output=written)
        os.close(written)
        assert process.wait(20)
        with os.fdopen(read) as said:
            shown[short] = int(said.read())
    assert shown[True] == 1_000_000 or shown[True] == 0, "0: a kernel before 6.12"
    assert shown[False] != 1_000_000


def test_signals_that_we_ignore_are_not_ignored_by_a_command() -> None:
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        text = run(Command(("grep", "SigIgn", "/proc/self/status"), Path("/"), {"PATH": PATH}))
    finally:
        signal.signal(signal.SIGINT, previous)
    ignored = int(text.output.split()[1], 16)
    # Real-time signals may come ignored from whoever started these tests.
    assert ignored & ((1 << 31) - 1) == 0


def test_an_unknown_program_is_command_not_found() -> None:
    with pytest.raises(NotFound) as caught:
        run(Command(("no-such-program",), Path("/"), {"PATH": PATH}))
    assert caught.value.code == "command_not_found"
    assert "no-such-program" in caught.value.message


@pytest.mark.parametrize("argv", [("true", "a\0b"), ("/bin/true",)])
def test_a_command_that_cannot_start_says_why(argv: tuple[str, ...]) -> None:
    cwd = Path("/") if len(argv) > 1 else Path("/no/such/directory")
    with pytest.raises(Failed) as caught:
        run(Command(argv, cwd, {"PATH": PATH}))
    assert caught.value.code == "command_not_started"


def test_arguments_of_any_bytes_reach_the_command() -> None:
    text = os.fsdecode(b"\xff\xfe caf\xc3\xa9 ' \" \n -- $(id)")
    code = "import os, sys; sys.stdout.buffer.write(os.fsencode(sys.argv[1]))"
    got: list[bytes] = []
    run(python(code, text), on_output=got.append)
    assert b"".join(got) == os.fsencode(text)


def test_a_daemon_that_left_the_session_is_ended_with_its_command(tmp_path: Path) -> None:
    finished = run(python(DAEMON, str(tmp_path / "pid")))
    assert finished.exit_status == 0
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_a_command_that_hangs_and_ignores_sigterm_ends_at_its_time_limit(tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid, flush=True)\n"
        "time.sleep(600)"
    )
    finished = run(python(code, time_limit_s=0.3))
    assert finished.timed_out
    assert not finished.succeeded
    assert finished.duration_s < 4
    assert not is_alive(int(finished.output))


def test_a_cancelled_command_is_dead_when_run_returns() -> None:
    asked = time.monotonic()
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    finished = run(python(code), cancelled=lambda: time.monotonic() > asked + 0.2)
    assert finished.cancelled
    assert finished.duration_s < 2
    assert not is_alive(int(finished.output))


@pytest.mark.parametrize(
    ("line", "limit"),
    [(b"x" * 100, 1 << 30), (b"y\n" * 50, 1 << 27)],
    ids=["a gigabyte in one endless line", "lines"],
)
def test_endless_output_stops_at_the_limit_in_constant_memory(line: bytes, limit: int) -> None:
    code = f"import os\nchunk = {line!r} * 10000\nwhile True: os.write(1, chunk)"
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    finished = run(python(code, output_limit_bytes=limit, time_limit_s=60))
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    assert finished.output_limit_reached
    assert finished.output_bytes == limit
    assert len(finished.output) == 64 * 1024
    assert grown_kb < 8 * 1024


def test_the_tail_is_the_end_of_the_output() -> None:
    finished = run(python("print('a' * 500_000); print('the end')"))
    assert finished.output.endswith("a\nthe end\n")
    assert len(finished.output) == 64 * 1024
    assert finished.output_bytes == 500_009


def test_a_callback_that_fails_leaves_no_process() -> None:
    pids: list[int] = []

    def fail(chunk: bytes) -> None:
        pids.append(int(chunk))
        raise ZeroDivisionError

    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with pytest.raises(ZeroDivisionError):
        run(python(code), on_output=fail)
    assert not is_alive(pids[0])


def test_a_killed_guard_takes_its_command_along() -> None:
    code = (
        "import os, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "print(child.pid, os.getppid(), flush=True); time.sleep(600)"
    )
    told: list[int] = []

    def kill_guard(chunk: bytes) -> None:
        told.extend(int(text) for text in chunk.split())
        os.kill(told[1], signal.SIGKILL)

    finished = ProcessRunner("guardless").run(python(code), kill_guard)
    assert finished.exit_status == 137
    assert not is_alive(told[0])


def test_a_fork_bomb_is_ended() -> None:
    code = (
        "import os, time\n"
        "end = time.monotonic() + 600\n"
        "for depth in range(7): os.fork()\n"  # 128 processes, each forking on for ever
        "while time.monotonic() < end:\n"
        "    if os.fork() == 0: os._exit(0)\n"
        "    os.wait()"
    )
    finished = ProcessRunner("bomb").run(python(code, time_limit_s=0.5))
    assert finished.timed_out
    assert list_marked("bomb") == []


def test_commands_run_side_by_side_and_leave_no_descriptor() -> None:
    before = set(Path("/proc/self/fd").iterdir())
    results: list[Finished] = []
    threads = [
        threading.Thread(target=lambda: results.append(run(python("print('x' * 100_000)"))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.output_bytes for result in results] == [100_001] * 8
    assert set(Path("/proc/self/fd").iterdir()) == before


KILLED_STARTER = """
import subprocess
import sys
from pathlib import Path
from ouroboros.adapters.command_runner import ProcessRunner
from ouroboros.domain.command import Command
code = open(sys.argv[1]).read() + "\\nprint('daemon is up', flush=True); time.sleep(600)"
argv = (sys.executable, "-I", "-S", "-c", code, sys.argv[2])
ProcessRunner("starter").run(Command(argv, Path("/tmp")), lambda chunk: print(chunk, flush=True))
"""


def test_when_the_starter_is_killed_nothing_of_its_command_is_left(tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "daemon.py").write_text(DAEMON)
    argv = [sys.executable, "-c", KILLED_STARTER, tmp_path / "daemon.py", tmp_path / "pid"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        assert b"daemon is up" in starter.stdout.readline()
        daemon = int((tmp_path / "pid").read_text())
        assert is_alive(daemon)
        starter.kill()
    deadline = time.monotonic() + 5
    while list_marked("starter") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert list_marked("starter") == []
    assert not is_alive(daemon)


ORPHANS = """
import os, sys
from pathlib import Path
from ouroboros.adapters.command_runner import ProcessRunner
from ouroboros.adapters.guard import list_processes, set_child_subreaper
from ouroboros.domain.command import Command

set_child_subreaper()
for _ in range(5):
    ProcessRunner().run(Command((sys.executable, "-c", sys.argv[1]), Path("/"), dict(os.environ)))
print(len([entry for entry in list_processes() if entry.parent == os.getpid()]))
"""


def test_a_guard_leaves_no_dead_children_to_whoever_started_it() -> None:
    """The supervisor is a subreaper and would keep each of them as a zombie for ever."""
    forks = "import os, time\nfor _ in range(30):\n    if os.fork() == 0: time.sleep(600)\n"
    done = subprocess.run(
        [sys.executable, "-c", ORPHANS, forks], capture_output=True, text=True, check=True
    )
    assert done.stdout == "0\n"
