"""Long runs (make soak): a thousand switches, five thousand slow clients, gigabytes, fuzzing."""

import contextlib
import os
import random
import re
import socket
import statistics
import threading
import time
from pathlib import Path

import pytest
from tests.surface.support import INDEX, OK, RawBackend, read_answer, running_surface
from tests.surface.test_process import started

pytestmark = pytest.mark.soak

MINUTES = float(os.environ.get("SURFACE_FUZZ_MINUTES", "60"))
STALLED_GB = float(os.environ.get("SURFACE_STALLED_GB", "10"))
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


def ask(client: socket.socket) -> float:
    began = time.perf_counter()
    client.sendall(GET)
    answer, rest = read_answer(client.recv(65536))
    assert (answer.status, rest) == (200, b"")
    return (time.perf_counter() - began) * 1000


def test_a_thousand_switches_under_load_fail_no_request(web):
    for number in range(4):
        body = b"%d" % number * 3000
        web.write(f"r{number}", {"index.html": body})
    web.switch("r0")
    stop, failures, served = threading.Event(), [], [0]

    def load(process):
        with process.connect() as client:
            while not stop.is_set():
                client.sendall(GET)
                data = b""
                while len(data) < 3000:
                    data += client.recv(65536)
                answer, _ = read_answer(data)
                name = answer.headers["x-preview-publish"]
                if answer.status != 200 or answer.body != name[1:].encode() * 3000:
                    failures.append(answer)
                served[0] += 1

    with started(web.root) as process:
        threads = [threading.Thread(target=load, args=(process,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for number in range(1000):
            web.switch(f"r{number % 4}")
            stop.wait(0.05)
        stop.set()
        for thread in threads:
            thread.join(10)
    print(f"{served[0]} requests during 1,000 switches")
    assert failures == []


def test_five_thousand_slow_clients_do_not_slow_the_good_ones(web):
    web.publish("one", {"index.html": INDEX})
    with started(web.root) as process, process.connect() as good:
        before = [ask(good) for _ in range(3000)]
        slow = []
        for number in range(5000):
            client = process.connect()
            client.sendall(GET[: 5 + number % 30])
            slow.append(client)
        during = []
        until = time.monotonic() + 8
        turn = 0
        while time.monotonic() < until:
            during.append(ask(good))
            turn += 1
            with contextlib.suppress(OSError):
                slow[turn % len(slow)].send(b"X")
        p99 = [statistics.quantiles(times, n=100)[98] for times in (before, during)]
        print(f"p99 {p99[0]:.2f} ms alone, {p99[1]:.2f} ms beside 5,000 slow clients")
        assert p99[1] <= 2 * p99[0] + 0.5
        for client in slow:
            client.close()


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_gigabyte_through_the_proxy_costs_no_memory(web, direction):
    total, block = 1024**3, bytes(1024 * 1024)
    listener = socket.create_server(("127.0.0.1", 0))
    received = [0]

    def serve():
        connection, _ = listener.accept()
        with connection:
            exchange(connection)

    def exchange(connection):
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        received[0] = len(head.partition(b"\r\n\r\n")[2])
        if direction == "up":
            while received[0] < total:
                received[0] += len(connection.recv(1024 * 1024))
            connection.sendall(OK)
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
            for _ in range(1024):
                connection.sendall(block)
        connection.recv(1)

    threading.Thread(target=serve, daemon=True).start()
    web.publish("one", {"index.html": INDEX})
    target = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with started(web.root, "--api-target", target) as process, process.connect() as client:
        process.get()
        before = resident_mb(process.process.pid)
        highest = before
        length = total if direction == "up" else 0
        client.sendall(
            b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % length
        )
        moved = 0
        while moved < total:
            if direction == "up":
                client.sendall(block)
                moved += len(block)
            else:
                moved += len(client.recv(1024 * 1024))
            if moved % (64 * len(block)) < len(block):
                highest = max(highest, resident_mb(process.process.pid))
        print(f"RSS {before:.1f} MB before, at most {highest:.1f} MB")
        assert highest - before <= 8
    listener.close()


def test_ten_gigabytes_for_a_client_that_stalls_cost_no_memory(web):
    """The backend can send no more than the buffers of the system hold; then all of it arrives."""
    total, block = int(STALLED_GB * 1024**3), bytes(1024 * 1024)
    listener = socket.create_server(("127.0.0.1", 0))
    sent = [0]

    def serve():
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
            while sent[0] < total:
                sent[0] += connection.send(block[: total - sent[0]])
            connection.recv(1)

    threading.Thread(target=serve, daemon=True).start()
    web.publish("one", {"index.html": INDEX})
    target = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with started(web.root, "--api-target", target) as process, process.connect() as client:
        process.get()
        before = resident_mb(process.process.pid)
        client.sendall(b"GET /api/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = len(client.recv(1000))
        seen, steady = -1, 0
        while steady < 20:  # two seconds without a byte: everybody waits for the client
            steady = steady + 1 if sent[0] == seen else 0
            seen = sent[0]
            time.sleep(0.1)
        stalled = resident_mb(process.process.pid)
        print(f"{seen / 1e6:.1f} MB sent to a client that stalls, RSS {before:.1f}, {stalled:.1f}")
        assert 0 < seen < 64 * 1024**2
        highest = stalled
        while sent[0] < total or received < total:
            received += len(client.recv(1024 * 1024))
            if received % (256 * 1024**2) < 1024**2:
                highest = max(highest, resident_mb(process.process.pid))
        print(f"then {received / 1e9:.1f} GB arrived, RSS at most {highest:.1f} MB")
        assert highest - before <= 8
    listener.close()


PIECES = [
    b"GET ", b"POST ", b"/ ", b"/api/x ", b"HTTP/1.1", b"HTTP/1.0", b"\r\n", b"\n", b"\r", b"\0",
    b"Host: localhost\r\n", b"Content-Length: 5\r\n", b"Content-Length: ", b"5", b"-1", b"99999",
    b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Connection: upgrade\r\n",
    b"Upgrade: websocket\r\n", b"Expect: 100-continue\r\n", b"Range: bytes=0-1,", b"\r\n\r\n",
    b"0\r\n\r\n", b"5\r\nhello\r\n", b": ", b" ", b"\t", b"\xff", b"%2e%2e/", b"../", b"x" * 300,
]  # fmt: skip


def test_malformed_requests_neither_crash_it_nor_harm_a_good_client(web):
    """10,000 malformed requests at least, and more for as long as SURFACE_FUZZ_MINUTES says."""
    backend = RawBackend()
    web.publish("one", {"index.html": INDEX})
    rng = random.Random(20261123)
    statuses: dict[int, int] = {}
    with running_surface(web.root, backend.target) as surface, surface.connect() as good:
        until = time.monotonic() + MINUTES * 60
        count = 0
        while count < 10_000 or time.monotonic() < until:
            count += 1
            data = b"".join(rng.choices(PIECES, k=rng.randint(1, 14)))
            if rng.random() < 0.3:
                data = b"GET / HTTP/1.1\r\nHost: localhost\r\n" + data + b"\r\n\r\n"
            with surface.connect(timeout=2) as client, contextlib.suppress(OSError):
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                reply = client.recv(65536)
                if reply:
                    status = int(reply[9:12])
                    statuses[status] = statuses.get(status, 0) + 1
            if count % 50 == 0:
                ask(good)
            if count % 2000 == 0:
                backend.received.clear()
        print(f"{count} requests: {statuses}")
    backend.close()
    assert not any(status >= 500 for status in statuses)
