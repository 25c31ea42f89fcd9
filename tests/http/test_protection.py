"""Protected previews behind the real Caddy: nothing of the application comes out without a pass."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread

import httpx
import pytest
from tests.http.conftest import serve
from tests.ports import reserve_ports
from websockets.datastructures import Headers
from websockets.http11 import Response as WebResponse
from websockets.sync.server import serve as serve_websockets

from ouroboros.adapters.preview_passwords import preview_password, renew_password
from ouroboros.bootstrap import compose
from ouroboros.domain.preview_pass import (
    COOKIE,
    HEADER,
    PASS_TTL_S,
    SIGN_IN,
    is_pass,
    local_target,
    make_pass,
)
from ouroboros.domain.slot import make_pool
from ouroboros.plans.caddyfile import render_caddyfile
from ouroboros.settings import Settings

CADDY = shutil.which("caddy")
PATHS = ("/", "/index.html", "/assets/app.js", "/api/tools", "/health", "/nothing", "/.ouroboros/x")
pytestmark = pytest.mark.skipif(CADDY is None, reason="there is no Caddy on this machine")


@dataclass
class Router:
    """Caddy over two protected previews, each of which tells what it is asked."""

    settings: Settings
    port: int
    seen: list[dict[str, str]]

    def host(self, number: int = 1) -> str:
        return f"preview{number}.example.com"

    def client(self, number: int = 1, **headers: str) -> httpx.Client:
        named = {"Host": self.host(number), **headers}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=named, timeout=20)

    def password(self, number: int = 1) -> str:
        return preview_password(self.settings, self.settings.pool.by_number(number))

    def upgrade(self, *fields: str) -> str:
        """Ask for a WebSocket; the head and what comes with it of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), 20) as connection:
            head = ["GET /ws HTTP/1.1", f"Host: {self.host()}", "Connection: Upgrade",
                    "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", *fields]  # fmt: skip
            connection.sendall("\r\n".join([*head, "", ""]).encode())
            return connection.recv(65536).decode("latin-1")


def application(port: int, seen: list[dict[str, str]]):
    def answer(connection, request):
        seen.append({key.lower(): value for key, value in request.headers.raw_items()})
        if request.headers.get("Upgrade"):
            return None
        body = f"the application says {request.path}".encode()
        headers = Headers({"Content-Length": str(len(body)), "Set-Cookie": "app=1"})
        return WebResponse(200, "OK", headers, body)

    return serve_websockets(
        lambda connection: connection.send("the application"), "127.0.0.1", port,
        process_request=answer,
    )  # fmt: skip


@pytest.fixture(scope="module")
def router(served, tmp_path_factory) -> Iterator[Router]:
    directory = tmp_path_factory.mktemp("router")
    base = reserve_ports()
    pool = make_pool("preview-1,preview-2", "example.com", base, base + 5)
    settings = replace(served.at.settings, pool=pool, protected=True, state_dir=directory / "state")
    settings.state_dir.mkdir()
    at = compose(settings, {}, "test-protection")
    seen: list[dict[str, str]] = []
    applications = [application(base + number, seen) for number in (1, 2)]
    for each in applications:
        Thread(target=each.serve_forever, daemon=True).start()
    short = Path("/tmp") / f"obp-{base}"
    short.mkdir()
    try:
        with serve(at, short) as gate:
            text = render_caddyfile(pool, base + 20, gate_port=gate.port)
            with caddy(text, directory, base + 20):
                yield Router(settings, base + 20, seen)
    finally:
        at.close()
        for each in applications:
            each.shutdown()
        shutil.rmtree(short)


@contextmanager
def caddy(text: str, directory: Path, port: int) -> Iterator[None]:
    """The real Caddy with this file."""
    file = directory / "Caddyfile"
    file.write_text(text)
    environment = {"HOME": str(directory), "PATH": "/usr/bin:/bin"}
    argv = [str(CADDY), "run", "--config", str(file), "--adapter", "caddyfile"]
    with subprocess.Popen(argv, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 20
            while not is_open(port):
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.02)
            yield
        finally:
            process.terminate()
            process.wait(10)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS"])
def test_without_a_pass_nothing_of_the_application_comes_out(router, method):
    asked = len(router.seen)
    with router.client() as stranger:
        for path in PATHS:
            answer = stranger.request(method, path)
            assert answer.status_code == 401, (path, answer.text)
            assert "the application" not in answer.text
            assert "app" not in answer.cookies
    assert len(router.seen) == asked, "the application was asked"


def test_a_websocket_is_refused_without_a_pass_and_opened_with_one(router):
    asked = len(router.seen)
    assert " 401 " in router.upgrade().splitlines()[0]
    assert len(router.seen) == asked
    assert " 101 " in router.upgrade(f"{HEADER}: {router.password()}").splitlines()[0]
    made = make_pass(router.settings.pool.by_number(1), router.password(), time.time())
    assert " 101 " in router.upgrade(f"Cookie: {COOKIE}={made}").splitlines()[0]


def test_a_person_gives_the_password_on_the_previews_host_and_comes_where_they_wanted(router):
    with router.client(Accept="text/html") as person:
        page = person.get("/tools?x=1&y=2")
        assert page.status_code == 401 and f'action="{SIGN_IN}"' in page.text
        assert 'value="/tools?x=1&amp;y=2"' in page.text
        assert "no-store" in page.headers["cache-control"]
        wrong = person.post(SIGN_IN, data={"password": "guess", "to": "/tools"})
        assert wrong.status_code == 401 and "not the password" in wrong.text
        entered = person.post(SIGN_IN, data={"password": router.password(), "to": "/tools?x=1"})
        assert (entered.status_code, entered.headers["location"]) == (303, "/tools?x=1")
        told = entered.headers["set-cookie"].lower()
        assert "httponly" in told and "path=/" in told and "domain" not in told
        passed = entered.headers["set-cookie"].partition(";")[0]
        inside = person.get("/tools", headers={"Cookie": f"own=1; {passed}; other=2"})
        assert inside.text == "the application says /tools"
    assert router.seen[-1]["cookie"] == f"own=1; {COOKIE}=; other=2"


def test_a_program_shows_the_password_and_the_application_never_sees_it(router):
    with router.client(**{HEADER: router.password()}) as program:
        assert program.get("/api/tools").status_code == 200
    assert HEADER.lower() not in router.seen[-1]
    with router.client(**{HEADER: "another"}) as program:
        assert program.get("/api/tools").json()["error"] == "preview_protected"


def test_a_pass_opens_its_own_preview_only_and_ends_with_its_time_and_the_password(router):
    one = router.settings.pool.slots[0]
    now = time.time()
    made = make_pass(one, router.password(1), now)
    cookie = {"Cookie": f"{COOKIE}={made}"}
    with router.client(1, **cookie) as own, router.client(2, **cookie) as other:
        assert (own.get("/").status_code, other.get("/").status_code) == (200, 401)
        forged = made.replace(made.partition(".")[0], str(int(now) + 10 * PASS_TTL_S))
        assert own.get("/", headers={"Cookie": f"{COOKIE}={forged}"}).status_code == 401
        assert not is_pass(one, router.password(1), made, now + PASS_TTL_S + 1)
        before = router.password(1)
        assert renew_password(router.settings, one) != before
        assert own.get("/").status_code == 401
    assert router.password(2) != router.password(1)


def test_a_cookie_of_the_application_cannot_shut_out_a_visitor(router):
    made = make_pass(router.settings.pool.slots[0], router.password(), time.time())
    with router.client(Cookie=f"{COOKIE}=of-a-wider-domain; {COOKIE}={made}") as person:
        assert person.get("/").status_code == 200
    assert router.seen[-1]["cookie"] == f"{COOKIE}=; {COOKIE}="


@pytest.mark.parametrize(
    "text", ["//evil.example", "/\\evil.example", "https://evil.example", "", "/a\r\nb", SIGN_IN]
)
def test_a_sign_in_leads_nowhere_else(text):
    assert local_target(text) == "/"


def test_a_protected_preview_of_which_nobody_can_ask_is_shut(served, tmp_path):
    """The API is away: the router lets nobody in."""
    base = reserve_ports()
    pool = make_pool("preview-1", "example.com", base, base + 5)
    text = render_caddyfile(pool, base + 20, gate_port=base + 19)
    with caddy(text, tmp_path, base + 20):
        answer = httpx.get(
            f"http://127.0.0.1:{base + 20}/", headers={"Host": "preview1.example.com"}
        )
        assert answer.status_code == 502 and answer.text == ""


def test_without_protection_there_is_no_gate(served):
    with served.tcp() as api:
        assert api.get("/preview-gate/preview-1").status_code == 404
    assert "forward_auth" not in render_caddyfile(make_pool(domain="example.com"), 8088)
