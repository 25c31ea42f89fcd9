"""Requests that differ in one value take a shorter way, and are answered as on the long one."""

import socket

import pytest
from tests.surface.support import INDEX, OK, read_answer

HOST = b"Host: localhost\r\n"


class Kept:
    """One kept connection: every request is sent alone, and its answer read whole."""

    def __init__(self, surface) -> None:
        self.surface = surface
        self.connection = surface.connect()

    def ask(self, path: bytes, *lines: bytes):
        head = b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"".join(x + b"\r\n" for x in lines)
        self.connection.sendall(head + b"\r\n")
        data = b""
        while b"\r\n\r\n" not in data or len(data) < self._end(data):
            more = self.connection.recv(65536)
            if not more:
                break
            data += more
        return read_answer(data)[0]

    def _end(self, data: bytes) -> int:
        head, _, _ = data.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return len(head) + 4 + int(length or 0)

    @property
    def is_framed(self) -> bool:
        return any(client.frame is not None for client in self.surface.surface.clients)


@pytest.fixture
def kept(surface):
    made = Kept(surface)
    yield made
    made.connection.close()


VALUES = (b" 1", b"", b" ", b" a:b", b"\t\xff\xfe~", b" " + b"x" * 4000, b" X-Other: 1")


def learn(kept: Kept, path: bytes) -> None:
    for number in range(6):
        assert kept.ask(path, b"X-Unique: first-%d" % number).status == 200
    assert kept.is_framed


@pytest.mark.parametrize("path", [b"/", b"/api/x"])
def test_every_value_is_answered_like_the_first(kept, path):
    learn(kept, path)
    for value in VALUES:
        answer = kept.ask(path, b"X-Unique:" + value)
        assert (answer.status, answer.body) == (200, INDEX if path == b"/" else b"ok"), value


def test_the_backend_gets_each_value_and_a_request_id_of_its_own(kept, backend):
    learn(kept, b"/api/x")
    backend.received.clear()
    backend.received.append(b"")  # the kept connection's place
    before = backend.all
    ids = set()
    for value in VALUES:
        answer = kept.ask(b"/api/x", b"X-Unique:" + value, b"X-Same: 1")
        ids.add(answer.headers["x-request-id"])
    assert before == b""
    assert len(ids) == len(VALUES)
    passed = backend.all
    for value in VALUES:
        assert passed.count(b"\r\nX-Unique:" + value + b"\r\n") == 1, value
    assert passed.count(b"\r\nX-Same: 1\r\n") == len(VALUES)
    assert passed.count(b"\r\nX-Forwarded-For: ") == len(VALUES)


@pytest.mark.parametrize("value", [b" a\x00b", b" a\nb", b" a\rb", b" \x7f"])
@pytest.mark.parametrize("path", [b"/", b"/api/x"])
def test_a_value_that_breaks_the_grammar_is_refused_all_the_same(kept, backend, path, value):
    learn(kept, path)
    assert kept.ask(path, b"X-Unique:" + value).status == 400
    assert value not in backend.all


def test_another_line_in_place_of_the_value_is_read(kept):
    """The end of the value and the end of the head are the same bytes as before."""
    learn(kept, b"/")
    assert kept.ask(b"/", b"X-Unique: 1", b"Host: evil.example").status == 400
    fresh = Kept(kept.surface)
    learn(fresh, b"/")
    assert fresh.ask(b"/", b"X-Unique: 1", b"If-None-Match: *").status == 304
    fresh.connection.close()


def test_two_requests_at_once_are_two(kept):
    learn(kept, b"/api/x")
    one = b"GET /api/x HTTP/1.1\r\n" + HOST + b"X-Unique: %d\r\n\r\n"
    kept.connection.sendall(one % 1 + one % 2)
    kept.connection.shutdown(socket.SHUT_WR)
    data = b""
    while more := kept.connection.recv(65536):
        data += more
    assert data.count(b"HTTP/1.1 200") == 2


def test_a_header_that_means_something_is_never_passed_over(kept):
    tag = kept.ask(b"/").headers["etag"]
    for number in range(6):
        assert kept.ask(b"/", b'If-None-Match: "%d"' % number).status == 200
    assert kept.ask(b"/", b"If-None-Match: " + tag.encode()).status == 304
    for number in range(6):
        assert kept.ask(b"/", b"X-Preview-Expect: %07d" % number).status == 409


def test_a_head_that_is_too_large_is_refused(kept):
    learn(kept, b"/")
    answer = kept.ask(b"/", b"X-Unique: " + b"x" * 40_000)
    assert answer.status == 431


def test_after_a_switch_the_new_release_is_served(kept, web):
    learn(kept, b"/")
    web.publish("two", {"index.html": INDEX + b"<p>two"})
    assert kept.ask(b"/", b"X-Unique: after").body == INDEX + b"<p>two"


def test_what_connection_names_is_dropped_with_every_value(kept, backend):
    for number in range(6):
        answer = kept.ask(b"/api/x", b"Connection: X-Unique", b"X-Unique: hidden-%d" % number)
        assert answer.status == 200
    assert b"hidden" not in backend.all


def test_the_answer_of_the_backend_is_its_own_each_time(kept, backend):
    learn(kept, b"/api/x")
    answers = iter(range(1000))
    backend.script = lambda *_: OK[:-2] + b"%02d" % (next(answers) % 100)
    assert kept.ask(b"/api/x", b"X-Unique: 1").body == b"00"
    assert kept.ask(b"/api/x", b"X-Unique: 2").body == b"01"
