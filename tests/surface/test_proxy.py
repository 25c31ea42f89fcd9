"""What goes to the backend and comes back is passed on as it is, at once, in constant memory."""

import json
import os
import socket
import threading
import time

import pytest
from tests.surface.support import (
    INDEX,
    OK,
    RawBackend,
    answer_ok,
    answers_in,
    read_all,
    read_answer,
    running_surface,
    wait_until,
)

from ouroboros.entrypoints.surface.limits import Limits

GET = b"GET /api/x HTTP/1.1\r\nHost: localhost\r\n"
CLOSE = b"Connection: close\r\n\r\n"


def test_the_target_goes_through_byte_for_byte(surface, backend):
    target = "/api/a%2Fb/%2e%2e/..;x=1//c?q=%zz&r=[]{}|\\^`%20+"
    assert surface.get(target).status == 200
    assert f"GET {target} HTTP/1.1\r\n".encode() in backend.all


def test_an_answer_tells_which_release_is_served_and_its_request_id(surface):
    answer = surface.get("/api/x")
    assert answer.headers["x-preview-slot"] == "preview-1"
    assert answer.headers["x-preview-run"] == "run-1"
    assert answer.headers["x-preview-publish"] == "one"
    assert len(answer.headers["x-preview-commit"]) == 40
    assert len(answer.headers["x-request-id"]) == 32
    assert answer.headers["x-request-id"] != surface.get("/api/x").headers["x-request-id"]


def test_another_expected_commit_is_a_conflict(surface, backend):
    commit = surface.get("/").headers["x-preview-commit"]
    for path in ("/", "/api/x"):
        assert surface.get(path, X_Preview_Expect=commit[:7]).status == 200
        assert surface.get(path, X_Preview_Expect="abcdef0").status == 409
        assert surface.get(path, X_Preview_Expect="abc").status == 400
    assert backend.all.count(b"GET") == 1


def test_connections_to_the_backend_are_kept(surface, backend):
    data = surface.raw((GET + b"\r\n") * 20 + GET + CLOSE)
    assert [a.body for a in answers_in(data)] == [b"ok"] * 21
    assert len(backend.received) == 1


FRAMINGS = {
    "length": b"Content-Length: 5\r\n\r\nhello",
    "chunked": b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    "until-close": b"\r\nhello",
    "empty": b"Content-Length: 0\r\n\r\n",
    "chunked-close": b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("split", [False, True])
def test_every_framing_of_an_answer_is_understood(surface, backend, framing, version, split):
    def script(connection, _):
        data = b"HTTP/1.1 200 OK\r\nX-A: 1\r\n" + FRAMINGS[framing]
        if split:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in data:
                connection.sendall(bytes((byte,)))
        else:
            connection.sendall(data)
        return None if "close" in framing else b""

    backend.script = script
    data = surface.raw(f"GET /api/x HTTP/{version}\r\nHost: localhost\r\n".encode() + CLOSE)
    answer, rest = read_answer(data)
    assert (answer.status, rest) == (200, b"")
    assert answer.body == (b"" if framing == "empty" else b"hello")
    if version == "1.0":
        assert "transfer-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("DELETE", b"HTTP/1.1 204 \r\n\r\n"),
    ],
)
def test_an_answer_without_a_body_ends_with_its_head(surface, backend, method, head):
    backend.script = lambda _, seen: head
    request = f"{method} /api/x HTTP/1.1\r\nHost: localhost\r\n".encode()
    data = surface.raw(request + b"\r\n" + request + CLOSE)
    first, rest = read_answer(data, bodiless=True)
    second, rest = read_answer(rest, bodiless=True)
    assert first.status == second.status == int(head[9:12])
    assert rest == b""


def test_events_are_passed_on_when_they_come(surface, backend):
    gates = [threading.Event() for _ in range(3)]

    def script(connection, _):
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        for number, gate in enumerate(gates):
            connection.sendall(b"9\r\ndata: %d\n\n\r\n" % number)
            gate.wait(5)
        return b"0\r\n\r\n"

    backend.script = script
    with surface.connect() as client:
        client.sendall(GET + b"\r\n")
        seen = b""
        for number, gate in enumerate(gates):
            while b"data: %d" % number not in seen:
                seen += client.recv(4096)
            assert b"data: %d" % (number + 1) not in seen
            gate.set()


def test_a_body_of_known_and_of_unknown_length_arrives_whole(surface, backend):
    body = os.urandom(3_000_000)

    def script(_, seen):
        size = len(seen.partition(b"\r\n\r\n")[2])
        return OK if size >= len(body) and b"Length" in seen else b""

    backend.script = script
    head = b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n" % len(body)
    assert read_answer(surface.raw(head + CLOSE + body, timeout=20))[0].body == b"ok"
    assert backend.received[0].partition(b"\r\n\r\n")[2] == body
    backend.script = lambda _, seen: OK if seen.endswith(b"\r\n0\r\n\r\n") else b""
    head = b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    parts = [b"%x\r\n%s\r\n" % (len(body[n : n + 9999]), body[n : n + 9999])
             for n in range(0, len(body), 9999)]  # fmt: skip
    data = surface.raw(head + CLOSE + b"".join(parts) + b"0\r\n\r\n", timeout=20)
    assert read_answer(data)[0].body == b"ok"


def test_100_continue_comes_from_the_backend(surface, backend):
    def script(_, seen):
        if seen.endswith(b"hello"):
            return OK
        return b"HTTP/1.1 100 Continue\r\n\r\n" if seen.endswith(b"\r\n\r\n") else b""

    backend.script = script
    with surface.connect() as client:
        head = b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        client.sendall(head + b"Expect: 100-continue\r\n" + CLOSE)
        assert client.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        client.sendall(b"hello")
        assert read_answer(read_all(client))[0].body == b"ok"


def test_interim_answers_and_trailers_are_passed_on(surface, backend):
    backend.script = lambda _, seen: (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTrailer: X-Sum\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n"
    )
    data = surface.raw(GET + b"TE: trailers\r\n" + CLOSE.replace(b"close", b"close, TE"))
    hints, rest = read_answer(data)
    assert (hints.status, hints.headers["link"]) == (103, "</a>")
    assert rest.endswith(b"0\r\nX-Sum: 7\r\n\r\n")
    assert b"TE: trailers\r\n" in backend.all


def upgrade(surface, extra: bytes = b"") -> socket.socket:
    client = surface.connect()
    client.sendall(GET + b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
                   b"Sec-WebSocket-Key: x\r\n\r\n" + extra)  # fmt: skip
    return client


def accept_upgrade(connection, seen):
    rest = seen.partition(b"\r\n\r\n")[2]
    if not rest:
        return (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                b"Upgrade: websocket\r\n\r\nhello from the backend")  # fmt: skip
    return rest[-1:]


def test_an_upgrade_makes_a_tunnel_both_ways(surface, backend):
    backend.script = accept_upgrade
    with upgrade(surface) as client:
        seen = b""
        while b"hello from the backend" not in seen:
            seen += client.recv(4096)
        assert seen.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"\r\nUpgrade: websocket\r\n" in seen
        for byte in (b"a", b"\x00", b"\xff"):
            client.sendall(byte)
            assert client.recv(1) == byte
        client.shutdown(socket.SHUT_WR)
        assert client.recv(10) == b""


def test_a_refused_upgrade_is_an_answer_and_the_end_of_the_connection(surface, backend):
    backend.script = lambda _, seen: b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
    with upgrade(surface, b"GET /api/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n") as client:
        data = read_all(client)
    answer, rest = read_answer(data)
    assert (answer.status, answer.headers["connection"], rest) == (403, "close", b"")
    assert b"hidden" not in backend.all


def test_a_tunnel_outlives_a_switch_and_ends_with_its_backend(surface, backend, web):
    ends = threading.Event()

    def script(connection, seen):
        if seen.endswith(b"\r\n\r\n"):
            connection.sendall(
                b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
            )
            return b""
        return None if ends.is_set() else seen[-1:]

    backend.script = script
    with upgrade(surface) as client:
        client.recv(4096)
        web.publish("two", {"index.html": b"two"})
        assert surface.get("/").body == b"two"
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        ends.set()
        client.sendall(b"y")
        assert client.recv(1) == b""


def test_a_slow_reader_holds_the_backend_and_not_the_memory(surface, backend):
    sent = [0]

    def script(connection, _):
        total = 200_000_000
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        connection.settimeout(0.5)
        block = bytes(1_000_000)
        try:
            for _ in range(200):
                connection.sendall(block)
                sent[0] += len(block)
        except TimeoutError:
            pass
        return

    backend.script = script
    with surface.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.sendall(GET + b"\r\n")
        client.recv(1000)
        deadline = time.monotonic() + 5
        while len(backend.received) < 1 or (sent[0] == 0 and time.monotonic() < deadline):
            threading.Event().wait(0.02)
        threading.Event().wait(0.8)
    assert sent[0] < 30_000_000, "only socket buffers may fill"


def test_a_slow_backend_holds_the_client_and_not_the_memory(web):
    listener = socket.create_server(("127.0.0.1", 0))
    web.publish("one", {"index.html": INDEX})
    target = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with running_surface(web.root, target) as surface, surface.connect(timeout=0.5) as client:
        client.sendall(
            b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000000\r\n\r\n"
        )
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 200_000_000:
                sent += client.send(bytes(1_000_000))
        assert sent < 30_000_000
    listener.close()


def test_the_backend_may_listen_on_a_unix_socket(web, tmp_path):
    web.publish("one", {"index.html": INDEX})
    path = str(tmp_path / "b.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    backend = RawBackend(listener)
    with running_surface(web.root, f"unix:{path}") as surface:
        assert surface.get("/api/x").body == b"ok"
    backend.close()


def test_requests_wait_for_a_backend_that_comes_back(web):
    web.publish("one", {"index.html": INDEX})
    holder = socket.create_server(("127.0.0.1", 0))
    port = holder.getsockname()[1]
    holder.close()
    results: list[int] = []
    with running_surface(web.root, f"http://127.0.0.1:{port}") as surface:
        threads = [
            threading.Thread(target=lambda: results.append(surface.get("/api/x").status))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        threading.Event().wait(0.3)
        assert results == []
        assert surface.get("/").status == 200
        backend = RawBackend(socket.create_server(("127.0.0.1", port)))
        for thread in threads:
            thread.join(5)
        backend.close()
    assert results == [200] * 8


def hold(web, until: float) -> None:
    part = web.live / "hold.new"
    part.write_text(str(until))
    part.rename(web.live / "hold")


def test_a_backend_that_is_being_replaced_gets_nothing_and_nothing_is_lost(web, backend):
    """What it has is answered; what comes meanwhile waits until the hold is taken away."""
    web.publish("one", {"index.html": INDEX})
    answering, results = threading.Event(), []

    def slowly(connection, received):
        reply = answer_ok(connection, received)
        assert not reply or answering.wait(20)
        return reply

    with running_surface(web.root, backend.target) as surface:

        def health():
            return json.loads(surface.get("/health").body)

        def ask():
            results.append(surface.get("/api/x").status)

        assert surface.get("/api/x").status == 200  # leaves an idle connection
        backend.script = slowly
        threads = [threading.Thread(target=ask)]
        threads[0].start()
        wait_until(lambda: health()["backend_in_flight"] == 1)
        hold(web, time.time() + 60)
        assert health()["backend_held"]
        before = len(backend.all)
        threads += [threading.Thread(target=ask) for _ in range(5)]
        for thread in threads[1:]:
            thread.start()
        answering.set()
        wait_until(lambda: health()["backend_in_flight"] == 0)
        wait_until(lambda: results == [200])
        assert len(backend.all) == before
        (web.live / "hold").unlink()
        for thread in threads:
            thread.join(20)
    assert results == [200] * 6


def test_a_hold_that_nobody_ends_ends_by_itself(web, backend):
    web.publish("one", {"index.html": INDEX})
    with running_surface(web.root, backend.target) as surface:
        hold(web, time.time() + 1)
        assert json.loads(surface.get("/health").body)["backend_held"]
        assert surface.get("/api/x").status == 200
        hold(web, float("inf"))
        (web.live / "hold").write_text("nonsense")
        assert surface.get("/api/x").status == 200


def test_a_backend_that_stays_away_is_explained_to_people_and_programs(web):
    web.publish("one", {"index.html": INDEX})
    limits = Limits(upstream_wait_s=0.1)
    with running_surface(web.root, "http://127.0.0.1:9", limits) as surface:
        answer = surface.get("/api/x", Accept="application/json")
        assert (answer.status, answer.headers["content-type"]) == (502, "application/problem+json")
        assert b'"backend_away"' in answer.body
        page = surface.get("/api/x", Accept="text/html")
        assert page.status == 502
        assert b"<h1>The backend of this preview is not answering</h1>" in page.body
        assert page.headers["refresh"]


def test_while_a_publish_is_at_work_a_request_waits_longer_for_the_backend(web):
    web.publish("one", {"index.html": INDEX})
    web.state(state="building", slot_id="preview-1")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    limits = Limits(upstream_wait_s=0.1, upstream_switch_s=30.0)
    with running_surface(web.root, f"http://127.0.0.1:{port}", limits) as surface:
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(surface.get("/api/x").status))
        waiting.start()
        waiting.join(2.5)  # the limits are looked at once a second
        assert answers == []
        backend = RawBackend(socket.create_server(("127.0.0.1", port)))
        waiting.join(20)
        backend.close()
    assert answers == [200]


def test_prefixes_of_the_release_decide_what_is_proxied(web, backend):
    web.publish("one", {"index.html": INDEX}, proxy_prefixes=["/api", "/graphql", "bad", 5])
    with running_surface(web.root, backend.target) as surface:
        for path in ("/api", "/api/", "/api?x", "/graphql", "/graphql/a"):
            assert surface.get(path).body == b"ok", path
        for path in ("/apix", "/API", "/a%70i/x", "/graphqlx"):
            assert surface.get(path).body == INDEX, path
        web.publish("two", {"index.html": INDEX}, has_backend=False)
        assert surface.get("/api/x").body == INDEX
        web.publish("three", {}, has_frontend=False)
        assert surface.get("/anything").body == b"ok"
        assert b"preview-1" in surface.get("/health").body
