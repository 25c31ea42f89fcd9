"""Large files go from the file to the socket, whole, in order, and as fast as they are read."""

import contextlib
import errno
import os
import random
import socket

import pytest
from tests.surface.support import INDEX, answers_in, running_surface

SIZE = 6_000_000
BODY = random.Random(7).randbytes(SIZE)
GET = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
LAST = GET % (b"index.html", b"Connection: close\r\n")


@pytest.fixture
def release(web):
    return web.publish("one", {"index.html": INDEX, "big.bin": BODY})


def read_slowly(client: socket.socket) -> bytes:
    """Read to the end in pieces that leave the sender's socket full most of the time."""
    parts = []
    while part := client.recv(50_000):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("uvloop", [True, False])
@pytest.mark.parametrize("by_system", [True, False])
def test_files_small_answers_and_ranges_arrive_whole_and_in_order(
    web, release, monkeypatch, uvloop, by_system
):
    sent = []
    real = os.sendfile

    def sendfile(out, file, offset, count):
        if not by_system:
            raise OSError(errno.EINVAL, "this file system cannot do it")
        sent.append(real(out, file, offset, count))
        return sent[-1]

    monkeypatch.setattr(os, "sendfile", sendfile)
    with running_surface(web.root, uvloop=uvloop) as surface, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
        client.connect(("127.0.0.1", surface.port))
        client.settimeout(60)
        client.sendall(
            GET % (b"index.html", b"")
            + GET % (b"big.bin", b"")
            + GET % (b"big.bin", b"Range: bytes=5-2000004\r\n")
            + GET % (b"index.html", b"")
            + GET % (b"big.bin", b"")
            + LAST
        )
        answers = answers_in(read_slowly(client))
    bodies = [answer.body for answer in answers]
    assert bodies == [INDEX, BODY, BODY[5:2000005], INDEX, BODY, INDEX]
    assert (sum(sent) > SIZE) == by_system


def test_a_file_that_ends_early_cuts_the_connection(web, release):
    with running_surface(web.root) as surface, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000)
        client.connect(("127.0.0.1", surface.port))
        client.settimeout(60)
        client.sendall(GET % (b"big.bin", b""))
        received = len(client.recv(1000))
        os.truncate(release / "web" / "big.bin", 1000)
        with contextlib.suppress(ConnectionResetError):
            while part := client.recv(100_000):
                received += len(part)
        assert received < SIZE
        assert surface.get("/index.html").body == INDEX


def test_a_client_that_leaves_in_the_middle_leaves_nothing(web, release):
    with running_surface(web.root) as surface:
        for _ in range(20):
            with surface.connect() as client:
                client.sendall(GET % (b"big.bin", b""))
                assert client.recv(1000)
        assert surface.get("/index.html").body == INDEX
        assert surface.errors == []
