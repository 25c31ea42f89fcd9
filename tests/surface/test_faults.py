"""Every way in which a backend or a client can fail ends in an answer or a clean cut."""

import socket
import struct
import threading

import pytest
from tests.surface.support import INDEX, OK, read_answer, running_surface

from ouroboros.entrypoints.surface.limits import Limits

GET = b"GET /api/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nX-A: b\r\n\r\n0123456789"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"
)


@pytest.mark.parametrize("whole", [ANSWER, CHUNKED], ids=["length", "chunked"])
def test_a_backend_that_closes_at_any_byte_never_makes_a_whole_answer(surface, backend, whole):
    for cut in range(len(whole)):
        backend.script = lambda connection, _, cut=cut: connection.sendall(whole[:cut])
        data = surface.raw(GET)
        if cut < whole.index(b"\r\n\r\n") + 4:
            assert read_answer(data)[0].status == 502, cut
        elif data:
            # Cut short: the length is not reached, or the last chunk is missing.
            body = data.partition(b"\r\n\r\n")[2]
            assert len(body) < 10 if whole is ANSWER else not body.endswith(b"\r\n0\r\n\r\n"), cut
    backend.script = lambda _, seen: OK
    assert surface.get("/api/x").status == 200


BAD_ANSWERS = {
    "nonsense": b"220 smtp.example ESMTP\r\n",
    "http-2": b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no-status": b"HTTP/1.1 \r\n\r\n",
    "status-4-digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "status-099": b"HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n",
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "length-and-chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n",
    "length-negative": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    "gzip-chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "bare-lf": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n" + b"\r\n\r\n",
    "fold": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "nul": b"HTTP/1.1 200 OK\r\nX: a\x00\r\nContent-Length: 0\r\n\r\n",
    "space-name": b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
    "unasked-101": b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    "flood-of-1xx": b"HTTP/1.1 102 P\r\n\r\n" * 50,
    "endless-head": b"HTTP/1.1 200 OK\r\n" + b"X: aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 4000,
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_an_answer_that_breaks_the_grammar_is_a_502(surface, backend, name):
    backend.script = lambda _, seen: BAD_ANSWERS[name]
    data = surface.raw(GET)
    while data.startswith(b"HTTP/1.1 102"):
        _, data = read_answer(data)
    answer, rest = read_answer(data)
    assert (answer.status, rest) == (502, b"")
    assert b"bad_backend_answer" in answer.body


def test_more_bytes_than_promised_reach_nobody(surface, backend):
    extra = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON"
    backend.script = lambda _, seen: OK + extra
    keep = GET.replace(b"Connection: close\r\n", b"")
    data = surface.raw(keep + keep + GET)
    assert data.count(b"ok") == 3
    assert b"POISON" not in data
    assert len(backend.received) == 3


def test_bytes_on_an_idle_connection_end_it(surface, backend):
    sockets = []

    def script(connection, seen):
        sockets.append(connection)
        return OK

    backend.script = script
    assert surface.get("/api/x").status == 200
    sockets[0].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON")
    assert surface.get("/api/x").body == b"ok"
    assert len(backend.received) == 2


def test_a_backend_that_ended_a_kept_connection_costs_no_request(surface, backend):
    ended = threading.Semaphore(0)
    serve = backend._serve

    def watched(connection, place):
        serve(connection, place)
        ended.release()

    backend._serve = watched
    backend.script = lambda connection, _: connection.sendall(OK)  # then it closes
    for _ in range(20):
        assert surface.get("/api/x").status == 200
        assert ended.acquire(timeout=5)


def test_nothing_is_sent_twice(surface, backend):
    backend.script = lambda connection, seen: None  # reads the request and closes
    body = b"POST /api/pay HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
    for head in (body, GET[: GET.index(b"Connection")]):
        before = len(backend.received)
        assert read_answer(surface.raw(head + b"Connection: close\r\n\r\n"))[0].status == 502
        assert len(backend.received) == before + 1


def test_a_silent_backend_is_a_504(web, backend):
    backend.script = lambda _, seen: b""
    web.publish("one", {"index.html": INDEX})
    with running_surface(web.root, backend.target, Limits(upstream_head_s=0.2)) as surface:
        assert surface.get("/api/x").status == 504


def test_a_client_that_leaves_takes_its_request_away_from_the_backend(surface, backend):
    gone = threading.Event()

    def script(connection, seen):
        connection.settimeout(5)
        if connection.recv(10) == b"":
            gone.set()

    backend.script = script
    client = surface.connect()
    client.sendall(GET)
    while not backend.all:
        threading.Event().wait(0.01)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert gone.wait(5)


def test_a_client_that_leaves_within_an_upload_leaves_no_complete_request(surface, backend):
    ended = threading.Event()
    backend.script = lambda _, seen: b""
    serve = backend._serve

    def watched(connection, place):
        serve(connection, place)
        ended.set()

    backend._serve = watched
    with surface.connect() as client:
        client.sendall(
            b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf"
        )
        while b"half" not in backend.all:
            threading.Event().wait(0.01)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert ended.wait(5)


def test_a_client_that_ends_its_side_still_gets_its_answer(surface):
    keep = GET.replace(b"Connection: close\r\n", b"")
    assert read_answer(surface.raw(keep, half_close=True))[0].body == b"ok"
    static = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert read_answer(surface.raw(static, half_close=True))[0].body == INDEX


def test_an_early_answer_to_a_long_upload_arrives(surface, backend):
    backend.script = lambda _, seen: b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno"
    head = b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\r\n"
    answer, _ = read_answer(surface.raw(head + bytes(100_000)))
    assert (answer.status, answer.headers["connection"]) == (413, "close")


SLOW = Limits(head_s=0.2, idle_s=0.2, body_grace_s=0.2, stalled_s=0.3, linger_s=0.2)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: loc", 408),
        (b"G", 408),
        (b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx", 408),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        (b"", None),
    ],
)
def test_slow_clients_are_told_or_closed(web, backend, sent, status):
    backend.script = lambda _, seen: b""
    web.publish("one", {"index.html": INDEX})
    with running_surface(web.root, backend.target, SLOW) as surface:
        data = surface.raw(sent, timeout=3)
        assert (read_answer(data)[0].status if data else None) == status


def test_a_client_that_does_not_read_is_cut(web, backend):
    web.publish("one", {"index.html": INDEX, "big.bin": bytes(50_000_000)})
    with running_surface(web.root, backend.target, SLOW) as surface, surface.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(b"GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _ in range(100):
            if not surface.surface.clients:
                break
            threading.Event().wait(0.05)
        assert not surface.surface.clients


def test_connections_beyond_the_limit_are_turned_away(web):
    web.publish("one", {"index.html": INDEX})
    with running_surface(web.root, limits=Limits(connections=5)) as surface:
        held = [surface.connect() for _ in range(5)]
        for client in held:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        assert read_answer(surface.raw(b""))[0].status == 503
        held.pop().close()
        while len(surface.surface.clients) > 4:
            threading.Event().wait(0.01)
        assert surface.get("/").status == 200
        for client in held:
            client.close()


def test_the_release_directory_may_vanish(web, backend):
    import shutil

    directory = web.publish("one", {"index.html": INDEX, "big.bin": b"b" * 900_000})
    with running_surface(web.root, backend.target) as surface:
        shutil.rmtree(directory)
        assert surface.get("/").body == INDEX
        assert surface.get("/big.bin").body == b"b" * 900_000
        web.publish("two", {"index.html": b"two"})
        assert surface.get("/").body == b"two"
