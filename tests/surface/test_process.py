"""The process keeps the command line of the contract, its port, and its promises at the end."""

import contextlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from tests.surface.support import CHECKOUT, INDEX, OK, RawBackend, read_answer

SCRIPT = CHECKOUT / "scripts" / "run-web-surface.py"
SYSTEM = "/usr/bin/python3"


class Process:
    """The script as a process; `first` is its JSON line."""

    def __init__(self, root, *arguments, python=sys.executable, script=SCRIPT, env=None, **options):
        environment = {"PATH": os.environ["PATH"], "OUROBOROS_SURFACE_PYTHON": "no", **(env or {})}
        self.process = subprocess.Popen(
            [python, str(script), "--root", str(root), "--port", "0",
             "--api-target", "http://127.0.0.1:9", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, **options,
        )  # fmt: skip
        line = self.process.stdout.readline()
        self.first = json.loads(line) if line else {}
        self.port = self.first.get("port")

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def get(self, path="/"):
        with self.connect() as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            return read_answer(client.recv(100_000))[0]

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=15)
        return self.process.returncode, out, err


@contextlib.contextmanager
def started(root, *arguments, **options):
    process = Process(root, *arguments, **options)
    try:
        yield process
    finally:
        process.end(signal.SIGKILL)


def run(*arguments, **options):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True, timeout=20, check=False, text=True, **options,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_one_line_serves_and_ends_with_0(web, number):
    web.publish("one", {"index.html": INDEX})
    with started(web.root) as process:
        assert process.first["ok"] is True
        assert process.first["slot_id"] == "preview-1"
        assert process.get().body == INDEX
        code, out, err = process.end(number)
        assert (code, out, err) == (0, b"", b"")


@pytest.mark.skipif(not os.access(SYSTEM, os.X_OK), reason=f"no {SYSTEM} on this machine")
def test_it_runs_from_a_path_with_spaces_in_any_directory_and_locale_with_a_plain_python(tmp_path):
    checkout = tmp_path / "a check out"
    shutil.copytree(CHECKOUT / "src", checkout / "src", ignore=shutil.ignore_patterns("__pyc*"))
    (checkout / "scripts").mkdir()
    script = shutil.copy(SCRIPT, checkout / "scripts")
    root = checkout / "infra" / "web-preview-2"
    root.mkdir(parents=True)
    (root / "index.html").write_text("gr\u00fc\u00df", encoding="utf-8")
    env = {"LC_ALL": "C", "PYTHONDONTWRITEBYTECODE": "1"}
    with started(root, python=SYSTEM, script=script, env=env, cwd="/") as process:
        assert process.first["slot_id"] == "preview-2"
        assert process.get().body.decode() == "gr\u00fc\u00df"


def test_options_may_come_from_the_environment(web):
    env = {"WEB_ROOT": str(web.root), "WEB_PORT": "0", "WEB_API_PROXY_TARGET": "http://127.0.0.1:8"}
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT)], stdout=subprocess.PIPE, env={**os.environ, **env}
    )
    try:
        port = json.loads(process.stdout.readline())["port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
            assert json.load(answer)["api_target"] == "http://127.0.0.1:8"
    finally:
        process.terminate()
        process.communicate(timeout=10)


def test_all_problems_are_reported_at_once():
    code, out = run("--root", "/nowhere", "--port", "99999", "--api-target", "http://10.0.0.1:80",
                    "--slot", "../preview-1", "--allowed-hosts", "a b")  # fmt: skip
    document = json.loads(out)
    assert (code, document["error"]) == (2, "bad_options")
    for name in ("--root", "--port", "--api-target", "--slot", "--allowed-hosts"):
        assert name in document["message"]


def test_words_that_are_no_options_are_problems_and_help_lists_those_that_are():
    code, out = run("--root", "/", "--nonsense", "1", "--prot=1", "--port")
    message = json.loads(out)["message"]
    assert code == 2
    for part in ("--nonsense: no such", "--prot=1: no such", "--port: its value is missing"):
        assert part in message
    code, out = run("--help")
    assert code == 0
    for name in ("--root", "--port", "--api-target", "WEB_ACCESS_LOG"):
        assert name in out


def test_an_option_may_be_one_word_and_wins_over_the_environment(web):
    web.publish("one", {"index.html": INDEX})
    env = {"WEB_SLOT": "preview-7", "WEB_HOST": "192.0.2.1"}
    with started(web.root, "--slot=preview-9", "--host=127.0.0.1", env=env) as process:
        assert process.first["slot_id"] == "preview-9"


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_no_tls_is_set_up_for_a_surface(web, loop):
    web.publish("one", {"index.html": INDEX})
    with started(web.root, env={"WEB_EVENT_LOOP": loop}) as process:
        assert process.get().body == INDEX
        maps = Path(f"/proc/{process.process.pid}/maps").read_text(encoding="utf-8")
        assert ("uvloop" in maps) == (loop == "uvloop")
        assert "libssl" not in maps


def test_started_twice_for_the_same_root_says_so_and_is_no_failure(web, tmp_path):
    with started(web.root) as process:
        arguments = ("--port", str(process.port), "--api-target", "http://127.0.0.1:9")
        code, out = run("--root", str(web.root), *arguments)
        document = json.loads(out)
        assert (code, document["ok"], document["already_serving"]) == (0, True, True)
        assert document["pid"] == process.process.pid
        other = tmp_path / "other" / "web-preview-1"
        other.mkdir(parents=True)
        code, out = run("--root", str(other), *arguments)
        document = json.loads(out)
        assert (code, document["error"], document["pid"]) == (1, "port_in_use", process.process.pid)


def test_a_stranger_on_the_port_is_named(web):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = str(stranger.getsockname()[1])
        code, out = run("--root", str(web.root), "--port", port, "--api-target", "unix:/x")
    document = json.loads(out)
    assert (code, document["ok"], document["error"]) == (1, False, "port_in_use")
    assert document["pid"] == os.getpid()
    assert "python" in document["message"]


def test_a_request_in_progress_is_finished_after_sigterm(web):
    backend = RawBackend()
    gate = threading.Event()
    backend.script = lambda _, seen: OK if gate.wait(5) else None
    web.publish("one", {"index.html": INDEX})
    with started(web.root, "--api-target", backend.target) as process, process.connect() as client:
        client.sendall(b"GET /api/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while not backend.all:
            threading.Event().wait(0.01)
        process.process.send_signal(signal.SIGTERM)
        threading.Event().wait(0.1)
        with pytest.raises(OSError):
            process.connect()
        gate.set()
        answer, _ = read_answer(client.recv(10_000))
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert process.end()[0] == 0
    backend.close()


def test_no_answer_is_lost_when_it_ends_under_load(web):
    web.publish("one", {"index.html": INDEX * 50})
    failures: list[str] = []
    with started(web.root) as process:

        def load():
            try:
                with process.connect() as client:
                    while True:
                        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                        data = client.recv(100_000)
                        answer, _ = read_answer(data)
                        if answer.headers.get("connection") == "close":
                            return
            except (OSError, AssertionError) as error:
                failures.append(repr(error))

        threads = [threading.Thread(target=load) for _ in range(8)]
        for thread in threads:
            thread.start()
        threading.Event().wait(0.3)
        assert process.end()[0] == 0
        for thread in threads:
            thread.join(5)
    assert failures == []


def test_it_can_be_killed_and_started_again_on_its_port(web):
    web.publish("one", {"index.html": INDEX})
    with started(web.root) as process:
        port = process.port
        process.get()
        process.end(signal.SIGKILL)
    with started(web.root, "--port", str(port)) as process:
        assert process.get().body == INDEX


def test_running_out_of_descriptors_hurts_only_new_connections(web):
    web.publish("one", {"index.html": INDEX})

    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

    with started(web.root, preexec_fn=few) as process:
        held = []
        for _ in range(60):
            with contextlib.suppress(OSError):
                held.append(process.connect())
        good = 0
        for client in held:
            client.settimeout(0.2)
            with contextlib.suppress(OSError):
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                good += client.recv(4096).startswith(b"HTTP/1.1 200")
        assert 5 < good < 60
        for client in held:
            client.close()
        threading.Event().wait(1.2)
        assert process.get().status == 200


def test_a_socket_handed_over_is_used(web):
    web.publish("one", {"index.html": INDEX})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [sys.executable, str(SCRIPT), "--root", str(web.root), "--port", "1",
                   "--api-target", "unix:/x"]  # fmt: skip
        code = (
            "import os,sys;os.dup2(int(sys.argv[1]),3);os.environ['LISTEN_FDS']='1';"
            "os.environ['LISTEN_PID']=str(os.getpid());os.execv(sys.argv[2],sys.argv[2:])"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(listener.fileno()), *command],
            pass_fds=[listener.fileno()], stdout=subprocess.PIPE,
            env={**os.environ, "OUROBOROS_SURFACE_PYTHON": "no"},
        )  # fmt: skip
        try:
            assert json.loads(process.stdout.readline())["port"] == listener.getsockname()[1]
        finally:
            process.terminate()
            process.communicate(timeout=10)


def test_systemd_is_told_and_the_watchdog_fed(web, tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(5)
        with started(web.root, env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000000"}) as process:
            assert manager.recv(100) == b"READY=1"
            assert manager.recv(100) == b"WATCHDOG=1"
            process.end()
            said = b""
            while said != b"STOPPING=1":
                said = manager.recv(100)


def test_the_log_is_one_escaped_line_an_answer_and_metrics_are_on_a_private_socket(web, tmp_path):
    web.publish("one", {"index.html": INDEX})
    log, control = tmp_path / "access.log", tmp_path / "c.sock"
    with started(web.root, "--access-log", str(log), "--control-socket", str(control)) as process:
        with process.connect() as client:
            client.sendall(b'GET /x"y HTTP/1.1\r\nHost: localhost\r\n\r\n')
            client.recv(4096)
        for _ in range(3):
            with process.connect() as client:
                client.sendall(b"GET /?q=1 HTTP/1.1\r\nHost: localhost\r\nReferer: a\"\xe9b\r\n"
                               b"User-Agent: me\r\n\r\n")  # fmt: skip
                client.recv(4096)
        assert control.stat().st_mode & 0o077 == 0
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(control))
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            text = client.recv(65536).decode()
        assert 'surface_answers_total{slot="preview-1",status="200"} 3' in text
        assert 'surface_answers_total{slot="preview-1",status="400"} 1' in text
        process.end()
        assert not control.exists()
    lines = log.read_bytes().splitlines()
    assert len(lines) == 4
    wanted = (
        rb'127\.0\.0\.1 - - \[[^]]+\] "GET /\?q=1 HTTP/1\.1" 200 75 "a\\x22\\xe9b" "me" - 0\.000'
    )
    assert all(re.fullmatch(wanted, line) for line in lines[1:]), lines


def test_the_start_and_the_idle_size_stay_small(web):
    """Loose bounds that catch an accident; bench/surface.py measures the real ones."""
    web.publish("one", {"index.html": INDEX})
    with started(web.root) as process:
        process.get()
        status = Path(f"/proc/{process.process.pid}/status").read_text(encoding="ascii")
        rss = int(re.search(r"VmRSS:\s+(\d+)", status).group(1))
        assert rss < 32 * 1024
