"""The backends of slots under the supervisor: started, proven, promoted, revived and ended."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.local.conftest import House, affinities, until

from ouroboros.adapters.guard import list_processes, read_process
from ouroboros.adapters.launchers import asgi
from ouroboros.domain.errors import Failed, PreviewError, Refused, TimedOut
from ouroboros.domain.slot import Slot
from ouroboros.ports import BackendSpec, BackendStatus

LAUNCHER = (sys.executable, asgi.__file__, "backend_app:app")
HERE = Path(__file__).parent
PORT_SERVER = """
import http.server, os, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'{}')
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler)
server.serve_forever()
"""
DAEMONS = """
import os, time
for env in ({}, dict(os.environ)):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execve('/bin/sleep', ['sleep', '600.5'], env)
        os._exit(0)
    os.wait()
"""


class Bench:
    """One slot of a house, with the specifications of its backends."""

    def __init__(self, house: House, log_dir: Path) -> None:
        house.up()
        self.house = house
        self.runtime = house.client
        self.slot: Slot = house.settings.pool.slots[0]
        self.log_dir = log_dir

    def spec(self, publish_id: str = "p1", fence: int = 1, **changes: Any) -> BackendSpec:
        spec = BackendSpec(
            argv=LAUNCHER,
            cwd=HERE,
            env={"PATH": os.environ["PATH"], "COLOUR": publish_id},
            listen="socket",
            health_path="/health",
            log_path=self.log_dir / f"{publish_id}.log",
            publish_id=publish_id,
            run_id="run-1",
            commit_sha="c" * 40,
            fence=fence,
        )
        return replace(spec, **changes)

    def status(self) -> BackendStatus:
        return self.runtime.status(self.slot)

    def wait(self, state: str = "running") -> BackendStatus:
        until(lambda: self.status().state == state, 20)
        return self.status()

    def start(self, *arguments: Any, **changes: Any) -> BackendStatus:
        self.runtime.start(self.slot, self.spec(*arguments, **changes))
        return self.wait()

    def get(self, path: str = "/", port: int | None = None, **headers: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", port or self.slot.api_port, timeout=5)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            document = json.loads(response.read())
            return response.status, dict(response.getheaders()), document
        finally:
            connection.close()

    def log(self) -> str:
        path = self.status().log_path
        return "" if path is None or not path.exists() else path.read_text()

    def colour(self) -> str:
        return str(self.get()[2]["env"]["COLOUR"])


@pytest.fixture
def bench(house: House, tmp_path: Path) -> Bench:
    return Bench(house, tmp_path)


def alive(pid: int | None) -> bool:
    entry = read_process(pid or 0)
    return entry is not None and entry.state not in "ZX"


def descendants_named(name: str) -> list[int]:
    found = []
    for entry in list_processes():
        try:
            argv = Path(f"/proc/{entry.pid}/cmdline").read_bytes()
        except OSError:
            continue
        if name.encode() in argv.split(b"\0") and entry.state not in "ZX":
            found.append(entry.pid)
    return found


def test_a_started_backend_answers_and_tells_what_it_is(bench: Bench) -> None:
    status = bench.start()
    assert (status.state, status.publish_id, status.fence) == ("running", "p1", 1)
    assert status.port == bench.slot.api_port
    code, headers, document = bench.get("/health", **{"X-Preview-Probe": "1"})
    assert (code, document["pid"]) == (200, status.pid)
    assert headers["x-preview-nonce"] == status.nonce
    assert "x-preview-nonce" not in bench.get("/health")[1]
    assert "x-preview-nonce" not in bench.get("/", **{"X-Preview-Probe": "1"})[1]


def test_a_backend_sees_its_own_environment_and_nothing_of_ours(bench: Bench) -> None:
    bench.start()
    seen = bench.get()[2]["env"].keys() - {"LC_CTYPE"}
    assert seen == {"PATH", "COLOUR", "PREVIEW_NONCE", "PREVIEW_HEALTH_PATH", "PREVIEW_INSTANCE"}


def test_starting_what_runs_changes_nothing_even_with_another_nonce(bench: Bench) -> None:
    first = bench.start()
    spec = bench.spec()
    again = bench.runtime.start(bench.slot, replace(spec, env={**spec.env, "PREVIEW_NONCE": "x"}))
    assert (again.pid, again.nonce) == (first.pid, first.nonce)


def test_starting_another_spec_replaces_the_one_before(bench: Bench) -> None:
    first = bench.start()
    second = bench.start("p2")
    assert bench.colour() == "p2"
    assert not alive(first.pid)
    assert second.pid != first.pid


def test_stopping_twice_is_no_error_and_frees_the_port(bench: Bench) -> None:
    pid = bench.start().pid
    for _ in range(2):
        assert bench.runtime.stop(bench.slot, 1).state == "stopped"
    assert not alive(pid)
    with socket.create_server(("127.0.0.1", bench.slot.api_port)):
        pass
    assert bench.status().publish_id is None


def test_stop_leaves_no_process_whatever_it_forked(bench: Bench) -> None:
    code = DAEMONS + PORT_SERVER
    argv = (sys.executable, "-c", code, str(bench.slot.api_port))
    bench.start(argv=argv, listen="port")
    until(lambda: len(descendants_named("600.5")) >= 2)
    bench.runtime.stop(bench.slot, 1)
    assert descendants_named("600.5") == []


def test_a_candidate_proves_itself_on_a_private_port_and_the_live_one_serves_on(
    bench: Bench,
) -> None:
    live = bench.start()
    bench.runtime.prepare(bench.slot, bench.spec("p2"))
    until(lambda: bench.status().candidate_state == "running")
    status = bench.status()
    assert (status.pid, status.candidate_publish_id) == (live.pid, "p2")
    assert status.candidate_port
    _, headers, document = bench.get("/health", status.candidate_port, **{"X-Preview-Probe": "1"})
    assert headers["x-preview-nonce"] == status.candidate_nonce
    assert document["env"]["COLOUR"] == "p2"
    assert {bench.colour() for _ in range(20)} == {"p1"}
    bench.runtime.discard(bench.slot, 1)
    assert bench.status().candidate_state is None
    assert {bench.colour() for _ in range(20)} == {"p1"}


def test_a_promoted_candidate_is_the_only_one_that_answers(bench: Bench) -> None:
    live = bench.start()
    bench.runtime.prepare(bench.slot, bench.spec("p2", fence=2))
    nonce = bench.status().candidate_nonce
    promoted = bench.runtime.promote(bench.slot, "p2", 2)
    assert (promoted.state, promoted.publish_id, promoted.nonce) == ("running", "p2", nonce)
    assert promoted.candidate_state is None
    assert {bench.colour() for _ in range(50)} == {"p2"}
    assert bench.runtime.promote(bench.slot, "p2", 2).pid == promoted.pid
    until(lambda: not alive(live.pid))


def test_only_what_serves_visitors_runs_on_all_processors(bench: Bench) -> None:
    """What starts, leaves or works otherwise leaves some of them to it."""
    usable = os.sched_getaffinity(0)
    if len(usable) == 1:
        pytest.skip("this machine has one processor, which nothing can be kept off")
    working = os.sched_getaffinity(bench.house.processes[-1].pid)
    assert working < usable
    with_child = ("/bin/sh", "-c", 'sleep 600.25 & exec "$@"', "sh", *LAUNCHER)
    live = bench.start("p1", argv=with_child)
    until(lambda: places(live.pid) == [usable] * 2)
    bench.start("p2", fence=2)
    first = bench.status().pid
    until(lambda: places(first) == [usable])
    bench.runtime.prepare(bench.slot, bench.spec("p3", fence=3))
    until(lambda: bench.status().candidate_state == "running")
    pid = bench.get("/health", bench.status().candidate_port)[2]["pid"]
    assert places(pid) == [working]
    slow = threading.Thread(target=lambda: bench.get("/slow"))
    slow.start()
    until(lambda: "/slow" in bench.log())
    assert bench.runtime.promote(bench.slot, "p3", 3).pid == pid
    until(lambda: places(pid) == [usable])
    until(lambda: places(first) == [working])
    slow.join()


def places(pid: int | None) -> list[set[int]]:
    return list(affinities(pid).values())


def test_a_promotion_does_not_wait_for_what_the_one_before_still_answers(bench: Bench) -> None:
    """And a stop waits for it: nothing of the slot may be left."""
    live = bench.start()
    bench.runtime.prepare(bench.slot, bench.spec("p2", fence=2))
    until(lambda: bench.status().candidate_state == "running")
    answers = []
    asking = threading.Thread(target=lambda: answers.append(bench.get("/slow")))
    asking.start()
    until(lambda: "/slow" in bench.log())
    bench.runtime.promote(bench.slot, "p2", 2)
    assert answers == []
    assert bench.colour() == "p2"
    bench.runtime.stop(bench.slot, 2)
    assert not alive(live.pid)
    asking.join()
    assert answers[0][0] == 200
    assert answers[0][2]["env"]["COLOUR"] == "p1"


def test_the_first_backend_of_a_slot_may_come_by_promotion(bench: Bench) -> None:
    bench.runtime.prepare(bench.slot, bench.spec())
    assert bench.runtime.promote(bench.slot, "p1", 1).state == "running"
    assert bench.colour() == "p1"


def test_a_candidate_that_dies_leaves_the_live_one_and_says_how(bench: Bench) -> None:
    bench.start()
    broken = bench.spec("p2", argv=(sys.executable, "-c", "import sys; sys.exit(9)"))
    bench.runtime.prepare(bench.slot, broken)
    until(lambda: bench.status().candidate_state == "exited")
    assert bench.status().candidate_exit == "status 9"
    with pytest.raises(Refused) as caught:
        bench.runtime.promote(bench.slot, "p2", 1)
    assert caught.value.code == "candidate_not_ready"
    assert bench.colour() == "p1"


def test_a_candidate_that_never_serves_publicly_is_ended_and_the_live_one_stays(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.start()
    # It answers on its own port, and takes no notice of SIGUSR1.
    code = (
        "import http.server, signal, socket\n"
        "signal.signal(signal.SIGUSR1, signal.SIG_IGN)\n"
        + PORT_SERVER.split("server =", maxsplit=1)[0]
        + "server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler, False)\n"
        "server.socket = socket.socket(fileno=3)\n"
        "server.serve_forever()\n"
    )
    bench.runtime.prepare(bench.slot, bench.spec("p2", argv=(sys.executable, "-c", code)))
    until(lambda: bench.status().candidate_state == "running")
    with pytest.raises(TimedOut) as caught:
        bench.runtime.promote(bench.slot, "p2", 1)
    assert caught.value.code == "promotion_unproven"
    assert bench.status().candidate_state is None
    assert {bench.colour() for _ in range(20)} == {"p1"}


def test_promoting_what_is_no_candidate_is_refused(bench: Bench) -> None:
    bench.start()
    with pytest.raises(Refused) as caught:
        bench.runtime.promote(bench.slot, "p9", 1)
    assert caught.value.code == "no_candidate"


def test_an_old_fence_is_refused_everywhere_even_after_a_restart(bench: Bench) -> None:
    bench.start(fence=5)

    def refusals() -> list[str]:
        codes = []
        slot, old = bench.slot, bench.spec("old", fence=4)
        calls: list[Callable[[], object]] = [
            lambda: bench.runtime.start(slot, old),
            lambda: bench.runtime.prepare(slot, old),
            lambda: bench.runtime.promote(slot, "p1", 4),
            lambda: bench.runtime.discard(slot, 4),
            lambda: bench.runtime.stop(slot, 4),
        ]
        for call in calls:
            with pytest.raises(Refused) as caught:
                call()
            codes.append(caught.value.code)
        return codes

    assert refusals() == ["stale_fence"] * 5
    assert bench.status().state == "running"
    bench.house.kill()
    bench.house.up()
    assert refusals() == ["stale_fence"] * 5
    assert bench.status().fence == 5
    assert bench.house.settings.pool.slots[1].id == "preview-2"
    other = bench.runtime.status(bench.house.settings.pool.slots[1])
    assert other.fence == 0


def test_a_backend_that_dies_is_revived_on_the_same_port(bench: Bench) -> None:
    first = bench.start()
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    # The listener is held: a request made now is answered, late but not lost.
    assert bench.colour() == "p1"
    status = until(lambda: (s := bench.status()).state == "running" and s)
    assert (status.restarts, status.last_exit) == (1, "signal 9")
    assert status.pid != first.pid


def test_a_backend_that_keeps_dying_is_given_up_and_its_port_says_so(bench: Bench) -> None:
    code = "import sys; print('I cannot'); sys.exit(3)"
    bench.runtime.start(bench.slot, bench.spec(argv=(sys.executable, "-c", code)))
    status = bench.wait("failed")
    assert (status.restarts, status.last_exit, status.pid) == (4, "status 3", None)
    code_, _, document = bench.get()
    assert (code_, document["status"]) == (503, 503)
    assert status.log_path is not None
    assert "I cannot" in status.log_path.read_text()
    failing = bench.house.status()["failing"]
    assert failing == ["backend of preview-1: failed (status 3)"]
    bench.start("p2")
    assert {bench.colour() for _ in range(20)} == {"p2"}


def test_an_ill_backend_is_starting_and_not_running(bench: Bench) -> None:
    spec = bench.spec(env={"PATH": os.environ["PATH"], "ILL": "1"})
    bench.runtime.start(bench.slot, spec)
    until(lambda: _answers(bench))
    assert bench.status().state == "starting"


def _answers(bench: Bench) -> bool:
    try:
        return bool(bench.get()[0] == 200)
    except OSError:
        return False


def test_a_backend_that_binds_its_own_port_runs_and_is_replaced(bench: Bench) -> None:
    argv = (sys.executable, "-c", PORT_SERVER, str(bench.slot.api_port))
    first = bench.start(argv=argv, listen="port")
    with pytest.raises(Refused) as caught:
        bench.runtime.prepare(bench.slot, bench.spec("p2", argv=argv, listen="port"))
    assert caught.value.code == "candidate_impossible"
    second = bench.start("p2", argv=argv, listen="port")
    assert first.pid != second.pid
    assert not alive(first.pid)
    assert bench.start("p3").state == "running"
    assert bench.colour() == "p3"


def test_a_stranger_that_answers_on_the_port_is_not_taken_for_the_backend(bench: Bench) -> None:
    silent = (sys.executable, "-c", "import time; time.sleep(600)")
    bench.runtime.start(bench.slot, bench.spec(argv=silent, listen="port"))
    argv = [sys.executable, "-c", PORT_SERVER, str(bench.slot.api_port)]
    with subprocess.Popen(argv) as stranger:
        try:
            until(lambda: _answers(bench))
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                assert bench.status().state == "starting"
        finally:
            stranger.kill()


@pytest.mark.parametrize("listen", ["socket", "port"])
def test_a_port_taken_by_a_stranger_is_refused_with_his_name(bench: Bench, listen: str) -> None:
    stranger = socket.create_server(("127.0.0.1", bench.slot.api_port))
    with stranger, pytest.raises(Refused) as caught:
        bench.runtime.start(bench.slot, bench.spec(listen=listen))
    assert caught.value.code == "port_in_use"
    assert caught.value.details["pid"] == os.getpid()
    assert bench.status().state == "stopped"


@pytest.mark.parametrize("verb", ["start", "prepare"])
def test_a_program_that_is_not_there_is_an_error_at_once(bench: Bench, verb: str) -> None:
    with pytest.raises(Failed) as caught:
        getattr(bench.runtime, verb)(bench.slot, bench.spec(argv=("no-such-program",)))
    assert caught.value.code == "process_not_started"
    assert "no-such-program" in caught.value.message
    with socket.create_server(("127.0.0.1", bench.slot.api_port)):
        pass


def test_a_slow_answer_is_finished_before_the_process_ends(bench: Bench) -> None:
    bench.start()
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(bench.get("/slow")[0]))
    asking.start()
    until(lambda: "/slow" in bench.log())
    bench.runtime.stop(bench.slot, 1)
    asking.join()
    assert answers == [200]


def test_slots_do_not_disturb_each_other(bench: Bench) -> None:
    first, second, _ = bench.house.settings.pool.slots
    for slot in (first, second):
        bench.runtime.start(slot, bench.spec(slot.id))
    until(lambda: all(bench.runtime.status(s).state == "running" for s in (first, second)))
    bench.runtime.stop(first, 1)
    assert bench.runtime.status(second).state == "running"
    assert bench.get(port=second.api_port)[2]["env"]["COLOUR"] == second.id


class Load:
    """Clients that ask without a pause; what was not a whole answer with 200 is a loss."""

    def __init__(self, port: int, clients: int, kept: bool) -> None:
        self._port, self._kept = port, kept
        self._stop = threading.Event()
        self.answered = 0
        self.longest_s = 0.0
        self.lost: Counter[str] = Counter()
        self.threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self.threads:
            thread.join()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        while not self._stop.is_set():
            begun = time.monotonic()
            try:
                connection.request("GET", "/")
                response = connection.getresponse()
                body = response.read()
                assert response.status == 200 and json.loads(body)["pid"]
                self.answered += 1
                if response.will_close or not self._kept:
                    connection.close()
            except (OSError, http.client.HTTPException, AssertionError, ValueError) as error:
                self.lost[repr(error)] += 1
                connection.close()
            self.longest_s = max(self.longest_s, time.monotonic() - begun)
        connection.close()


@pytest.mark.parametrize("kept", [True, False], ids=["kept connections", "one per request"])
def test_ten_promotions_under_load_lose_no_request(bench: Bench, kept: bool) -> None:
    bench.start("p0")
    with Load(bench.slot.api_port, clients=8, kept=kept) as load:
        for number in range(1, 11):
            bench.runtime.prepare(bench.slot, bench.spec(f"p{number}"))
            bench.runtime.promote(bench.slot, f"p{number}", 1)
        until(lambda: bench.colour() == "p10")
    print(f"{load.answered} answered, longest {load.longest_s * 1000:.0f} ms")
    assert dict(load.lost) == {}
    assert load.answered > 500


@pytest.mark.parametrize("kept", [True, False], ids=["kept connections", "one per request"])
def test_restarts_of_one_process_after_another_lose_no_request(bench: Bench, kept: bool) -> None:
    bench.start("p0")
    with Load(bench.slot.api_port, clients=8, kept=kept) as load:
        for number in range(1, 4):
            bench.start(f"p{number}")
    assert dict(load.lost) == {}


def test_a_kept_connection_does_not_wait_for_acknowledgements(bench: Bench) -> None:
    bench.start()
    connection = http.client.HTTPConnection("127.0.0.1", bench.slot.api_port, timeout=5)
    waits_s = []
    for _ in range(41):
        begun = time.monotonic()
        connection.request("GET", "/")
        connection.getresponse().read()
        waits_s.append(time.monotonic() - begun)
    connection.close()
    # With Nagle's algorithm on, which `uvicorn --fd` leaves so, the median is 40 ms.
    assert sorted(waits_s)[20] < 0.02


def test_a_bad_specification_is_refused(bench: Bench) -> None:
    for spec in ({}, {"argv": []}, {"argv": "x"}):
        with pytest.raises(PreviewError) as caught:
            bench.runtime.call({"do": "backend.start", "slot": "preview-1", "spec": spec})
        assert caught.value.code == "bad_request"
