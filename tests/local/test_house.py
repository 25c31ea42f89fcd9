"""The supervisor: everything it starts is watched, and nothing of it stays behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.local.conftest import House, until

from ouroboros.adapters.guard import list_processes, read_process
from ouroboros.adapters.instance_record import read_instance
from ouroboros.domain.errors import Failed, PreviewError, Refused, Unhealthy
from ouroboros.entrypoints.cli.instance import ask_status, bring_down, bring_up

SLEEP = "import time; time.sleep(600)"
SERVE = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'well')
    def log_message(self, *_): pass
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
"""
DAEMONS = """
import os, time
for path in ('a', 'b'):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 100)
            os.execve('/bin/sleep', ['sleep', '600.25'], {} if path == 'a' else dict(os.environ))
        os._exit(0)
    os.wait()
time.sleep(600)
"""


def sleeper(name: str, stage: int = 0) -> dict[str, Any]:
    return {"name": name, "code": SLEEP, "stage": stage}


def alive(pid: int) -> bool:
    entry = read_process(pid)
    return entry is not None and entry.state not in "ZX"


def daemons_of(pid: int) -> list[int]:
    """The daemons below a guard: they are its children, since it is their subreaper."""
    guard = read_process(pid)
    assert guard is not None
    return [e.pid for e in list_processes() if e.parent == guard.parent and e.pid != pid]


def assert_nothing_is_left(house: House) -> None:
    assert house.list_processes() == []
    assert list(house.settings.run_dir.iterdir()) == []
    for port in range(house.settings.api_port, house.settings.api_port + 7):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(("127.0.0.1", port))


def test_an_instance_comes_up_tells_its_status_and_goes_down(house: House) -> None:
    port = house.settings.api_port
    web = {"name": "web", "code": SERVE, "arguments": [str(port)], "port": port}
    house.up(web, sleeper("worker", stage=1))
    status = ask_status(house.settings)
    assert status["state"] == "running"
    assert [(s["name"], s["state"], s["restarts"]) for s in status["services"]] == [
        ("web", "running", 0),
        ("worker", "running", 0),
    ]
    assert [slot["backend"]["state"] for slot in status["slots"]] == ["stopped"] * 3
    down = bring_down(house.settings)
    assert (down["was_up"], down["leftovers_ended"]) == (True, 0)
    assert house.processes[-1].wait(1) == 0
    assert_nothing_is_left(house)


def test_down_when_nothing_runs_is_no_error(house: House) -> None:
    assert bring_down(house.settings)["was_up"] is False
    house.up(sleeper("one"))
    bring_down(house.settings)
    assert bring_down(house.settings)["was_up"] is False
    with pytest.raises(Unhealthy) as caught:
        ask_status(house.settings)
    assert caught.value.code == "not_running"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_in_good_order(house: House, number: int) -> None:
    house.up({"name": "stubborn", "code": DAEMONS}, sleeper("second", stage=1))
    assert house.end(number) == 0
    assert_nothing_is_left(house)


def test_the_stages_start_in_order_and_end_in_reverse(house: House, tmp_path: Path) -> None:
    log = tmp_path / "order"
    code = (
        "import signal, sys, time\n"
        "def write(text): open(sys.argv[2], 'a').write(text + sys.argv[1] + '\\n')\n"
        "def end(*_): write('-'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); write('+')\n# ready\ntime.sleep(600)"
    )
    services = [
        {"name": name, "code": code, "arguments": [name, str(log)], "stage": stage}
        for stage, name in enumerate(["first", "second", "third"])
    ]
    house.up(*services)
    house.end()
    assert log.read_text().split() == ["+first", "+second", "+third", "-third", "-second", "-first"]


def test_a_killed_service_is_restarted_and_status_says_so(house: House) -> None:
    house.up(sleeper("worker"))
    first = house.service("worker")
    os.kill(first["pid"], signal.SIGKILL)
    now = until(lambda: (s := house.service("worker"))["restarts"] and s["pid"] and s)
    assert now["last_exit"] == "signal 9"
    assert now["pid"] != first["pid"]
    until(lambda: house.service("worker")["state"] == "running")
    assert ask_status(house.settings)["failing"] == []


def test_a_service_that_keeps_ending_is_named_by_status(house: House, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    code = "import os, sys, time\nwhile os.path.exists(sys.argv[1]): time.sleep(0.01)\nsys.exit(7)"
    house.up({"name": "flaky", "code": code, "arguments": [str(flag)]})
    flag.unlink()
    until(lambda: house.service("flaky")["restarts"] >= 2)
    with pytest.raises(Unhealthy) as caught:
        until(lambda: ask_status(house.settings) and None)
    assert caught.value.exit_code == 3
    assert "flaky" in caught.value.message
    assert "status 7" in caught.value.message


def test_a_killed_guard_s_daemons_are_ended_and_the_service_is_restarted(house: House) -> None:
    house.up({"name": "daemons", "code": DAEMONS})
    pid = house.service("daemons")["pid"]
    daemons = until(lambda: len(found := daemons_of(pid)) == 2 and found)
    guard = read_process(pid)
    assert guard is not None
    os.kill(guard.parent, signal.SIGKILL)
    now = until(lambda: (s := house.service("daemons"))["restarts"] and s["pid"] and s)
    assert now["pid"] != pid
    assert [daemon for daemon in daemons if alive(daemon)] == []


def test_when_the_supervisor_is_killed_its_guards_end_everything(house: House) -> None:
    house.up({"name": "daemons", "code": DAEMONS}, sleeper("worker"))
    daemons = until(
        lambda: len(found := daemons_of(house.service("daemons")["pid"])) == 2 and found
    )
    house.kill()
    until(lambda: not house.list_processes())
    assert [pid for pid in daemons if alive(pid)] == []
    house.up(sleeper("worker"))
    house.end()
    assert_nothing_is_left(house)


def test_when_supervisor_and_guards_are_killed_the_next_up_ends_the_orphans(house: House) -> None:
    house.up({"name": "daemons", "code": DAEMONS})
    pid = house.service("daemons")["pid"]
    until(lambda: len(daemons_of(pid)) == 2)
    until(lambda: pid in (read_instance(house.settings) or pytest.fail("no record")).processes)
    guard = read_process(pid)
    assert guard is not None
    # Frozen first, so that neither sees the other's end and does its work.
    os.kill(house.processes[-1].pid, signal.SIGSTOP)
    os.kill(guard.parent, signal.SIGSTOP)
    os.kill(house.processes[-1].pid, signal.SIGKILL)
    os.kill(guard.parent, signal.SIGKILL)
    house.processes[-1].wait()
    orphans = house.list_processes()
    assert orphans, "the daemon that kept its environment should have outlived them"
    house.up(sleeper("worker"))
    assert [orphan for orphan in orphans if alive(orphan)] == []


def test_down_after_a_crash_ends_the_orphans_and_clears_the_directory(house: House) -> None:
    house.up({"name": "daemons", "code": DAEMONS})
    house.kill()
    assert list(house.settings.run_dir.iterdir())
    assert bring_down(house.settings)["was_up"] is False
    assert_nothing_is_left(house)


def test_only_this_state_directory_s_processes_are_ended(house: House) -> None:
    stranger = subprocess.Popen(["sleep", "600"], env={"PREVIEW_INSTANCE": "another:1"})
    try:
        house.up(sleeper("worker"))
        house.kill()
        bring_down(house.settings)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_started_twice_says_so_with_the_pid(house: House) -> None:
    first = house.up(sleeper("worker"))
    with pytest.raises(Refused) as caught:
        house.up(sleeper("worker"))
    assert caught.value.code == "already_running"
    assert caught.value.details["pid"] == first["pid"]
    assert str(first["pid"]) in caught.value.message
    assert ask_status(house.settings)["pid"] == first["pid"]
    house.processes[0].terminate()
    house.processes[0].wait(20)


def test_of_eight_that_start_at_once_one_is_up_and_the_others_wait_for_it(house: House) -> None:
    documents: list[dict[str, Any]] = []
    argv = house.argv([sleeper("worker")])

    def start() -> None:
        documents.append(bring_up(house.settings, argv))

    os.environ |= house.environ
    try:
        threads = [threading.Thread(target=start) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for key in house.environ.keys() - {"PATH"}:
            del os.environ[key]
    assert sorted(document["already_up"] for document in documents) == [False] + [True] * 7
    assert len({document["pid"] for document in documents}) == 1
    assert {document["state"] for document in documents} == {"running"}
    bring_down(house.settings)
    assert_nothing_is_left(house)


@pytest.mark.parametrize("offset", [0, 1, 4])
def test_a_taken_port_is_refused_before_anything_starts(house: House, offset: int) -> None:
    port = house.settings.api_port + offset
    code = f"import socket\ns = socket.create_server(('127.0.0.1', {port}))\nprint(flush=True)\n"
    argv = [sys.executable, "-c", code + SLEEP]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as stranger:
        assert stranger.stdout is not None
        stranger.stdout.readline()
        try:
            taken = {"name": "web", "code": SLEEP, "port": house.settings.api_port + 1}
            api = {"name": "api", "code": SLEEP, "port": house.settings.api_port}
            with pytest.raises(Refused) as caught:
                house.up(taken, api)
            assert stranger.poll() is None
        finally:
            stranger.kill()
    assert caught.value.code == "port_in_use"
    assert caught.value.details["pid"] == stranger.pid
    assert str(stranger.pid) in caught.value.message
    assert "create_server" in caught.value.message
    assert not (house.settings.log_dir / "web.log").exists()
    assert_nothing_is_left(house)


def test_a_service_that_dies_at_the_start_tears_down_what_was_started(house: House) -> None:
    fails = {"name": "broken", "code": "import sys; sys.exit('the reason')", "stage": 1}
    fails["port"] = house.settings.api_port
    with pytest.raises(Failed) as caught:
        house.up(sleeper("first"), fails)
    assert caught.value.code == "service_failed"
    assert caught.value.details["log"] == ["the reason"]
    assert "broken" in caught.value.message
    assert_nothing_is_left(house)


def test_an_error_that_a_service_tells_keeps_its_code(house: House) -> None:
    document = {"ok": False, "error": "postgres_not_found", "message": "none", "hint": "install"}
    code = f"import sys; sys.exit({json.dumps(document)!r})"
    with pytest.raises(PreviewError) as caught:
        house.up({"name": "database", "code": code, "port": house.settings.api_port})
    assert (caught.value.code, caught.value.hint) == ("postgres_not_found", "install")


def test_asked_to_end_while_starting_it_ends(house: House) -> None:
    never = {"name": "slow", "code": SLEEP, "port": house.settings.api_port}

    def start() -> None:
        with pytest.raises(AssertionError, match="ended with 0"):
            house.up(never)

    starting = threading.Thread(target=start)
    starting.start()
    until(house.list_processes)
    until((house.settings.run_dir / "supervisor.sock").exists)
    assert house.status()["state"] == "starting"
    bring_down(house.settings)
    starting.join()
    assert_nothing_is_left(house)


def test_the_record_tells_a_client_with_a_bare_directory_where_to_go(house: House) -> None:
    from ouroboros.settings import read_settings

    house.up(sleeper("worker"))
    bare = read_settings({"OUROBOROS_STATE_DIR": str(house.settings.state_dir)})
    record = read_instance(bare)
    assert record is not None
    assert record.apply(bare) == house.settings
    assert (house.settings.run_dir / "instance.json").stat().st_mode & 0o777 == 0o600
    assert (house.settings.run_dir / "supervisor.sock").stat().st_mode & 0o777 == 0o600


def test_garbage_on_the_socket_harms_nobody(house: House) -> None:
    from ouroboros.adapters.unix_sockets import connect_unix

    house.up(sleeper("worker"))
    path = house.settings.run_dir / "supervisor.sock"
    cases = [b"\n", b"\xff\xfe\n", b"[]\n", b"{}\n", b'{"do": "no"}\n', b"[" * 100_000 + b"\n"]
    cases += [b'{"do": "backend.stop", "slot": "../x"}\n', b'{"do": "backend.start"}\n']
    for garbage in cases:
        with connect_unix(path, 5) as connection:
            connection.sendall(garbage)
            answer = json.loads(connection.makefile().readline())
            assert (answer["ok"], answer["error"]) in [
                (False, "bad_request"),
                (False, "invalid_slot"),
            ]
    with connect_unix(path, 5) as connection, pytest.raises(OSError):
        for _ in range(64):  # 4 MiB without a line's end: told so, then cut off
            connection.sendall(b"x" * 65536)
            time.sleep(0.001)
    crowd = [connect_unix(path, 5) for _ in range(80)]
    with pytest.raises(Refused) as caught:
        house.status()
    assert caught.value.code == "busy"
    for connection in crowd:
        connection.close()

    def serves_again() -> bool:
        try:
            return bool(house.status()["state"] == "running")
        except Refused:
            return False

    until(serves_again)


def test_a_log_is_kept_small_and_the_one_before_is_kept(house: House) -> None:
    code = "import os, time\nfor _ in range(25): os.write(1, b'x' * 999_999 + b'\\n')\n" + SLEEP
    house.up({"name": "chatty", "code": code})
    logs = [house.settings.log_dir / name for name in ("chatty.log", "chatty.log.1")]
    until(lambda: all(log.exists() for log in logs))
    until(lambda: sum(log.stat().st_size for log in logs) in range(5_000_000, 22_000_000))
    assert max(log.stat().st_size for log in logs) <= 11_000_000


def test_a_full_disk_is_a_clear_error_and_nothing_is_half_started(house: House) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    state_dir = house.settings.state_dir
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(state_dir)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        with pytest.raises(Failed) as caught:
            house.up(sleeper("worker"))
        assert caught.value.code == "state_dir_unwritable"
        assert "No space left" in caught.value.message
        assert house.list_processes() == []
    finally:
        subprocess.run(["umount", str(state_dir)], check=True)


def test_a_state_directory_that_is_a_file_is_a_clear_error(house: House) -> None:
    house.settings.state_dir.rmdir()
    house.settings.state_dir.touch()
    try:
        with pytest.raises(Failed) as caught:
            house.up(sleeper("worker"))
        assert caught.value.code == "state_dir_unwritable"
    finally:
        house.settings.state_dir.unlink()


def test_a_state_directory_that_may_not_be_written_is_a_clear_error(house: House) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere; run as another user")
    house.settings.state_dir.chmod(0o500)
    try:
        with pytest.raises(Failed) as caught:
            house.up(sleeper("worker"))
        assert caught.value.code == "state_dir_unwritable"
        assert "Permission denied" in caught.value.message
    finally:
        house.settings.state_dir.chmod(0o700)


def test_a_path_longer_than_a_socket_address_works() -> None:
    import shutil
    from tempfile import mkdtemp

    parent = Path(mkdtemp(prefix="ouroboros-test-", dir="/tmp"))
    house = House(parent / ("deep down " * 12) / "state")
    try:
        house.up(sleeper("worker"))
        assert ask_status(house.settings)["state"] == "running"
        house.end()
        assert_nothing_is_left(house)
    finally:
        bring_down(house.settings)
        shutil.rmtree(parent)
