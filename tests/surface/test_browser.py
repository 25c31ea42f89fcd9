"""In a real Chromium: deep links, the badge, events and sockets that live through a switch."""

import base64
import hashlib
import shutil
import threading

import pytest
from tests.surface.support import OK, running_surface

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

APP = b"""<!doctype html><html><head><title>app</title></head><body><p id=where></p><p id=sse></p>
<p id=ws></p><script src="/assets/app-BxK2f9aQ.js"></script></body></html>"""
SCRIPT = b"""
document.querySelector("#where").textContent = location.pathname;
const events = new EventSource("/api/events");
events.onmessage = (e) => { document.querySelector("#sse").textContent = e.data; };
const socket = new WebSocket("ws://" + location.host + "/api/socket");
socket.onopen = () => socket.send("hello");
socket.onmessage = (e) => { document.querySelector("#ws").textContent = e.data; };
window.say = (text) => socket.send(text);
"""


@pytest.fixture
def page():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                  "--disable-background-networking", "--disable-component-update"],
        )  # fmt: skip
        opened = browser.new_page()
        opened.problems = []
        opened.on("pageerror", lambda error: opened.problems.append(str(error)))
        yield opened
        browser.close()


def frame(text: bytes) -> bytes:
    return b"\x81" + bytes((len(text),)) + text


def talk(connection, seen: bytes) -> bytes:
    """Server-sent events on one path, an echo in upper case on the other (RFC 6455)."""
    head, _, rest = seen.partition(b"\r\n\r\n")
    if b"/api/events" in head:
        line = b"data: first\n\n"
        return (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(line), line))  # fmt: skip
    if b"/api/socket" not in head:
        return OK
    if not rest:
        key = head.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        return (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                b"Upgrade: websocket\r\nSec-WebSocket-Accept: "
                + base64.b64encode(digest) + b"\r\n\r\n")  # fmt: skip
    last = rest
    while last:
        size = last[1] & 127
        mask, body, more = last[2:6], last[6 : 6 + size], last[6 + size :]
        if not more:
            return frame(bytes(b ^ mask[i % 4] for i, b in enumerate(body)).upper())
        last = more
    return b""


def test_an_application_lives_through_a_switch(web, backend, page):
    backend.script = talk
    files = {"index.html": APP, "assets/app-BxK2f9aQ.js": SCRIPT}
    web.publish("one", files, badge=True, seed_version="v1", branch="codex/run-1")
    with running_surface(web.root, backend.target) as surface:
        base = f"http://127.0.0.1:{surface.port}"
        page.goto(f"{base}/tools/12?x=1")
        page.wait_for_function("document.querySelector('#ws').textContent === 'HELLO'")
        page.wait_for_function("document.querySelector('#sse').textContent === 'first'")
        assert page.text_content("#where") == "/tools/12"
        page.wait_for_selector("ouroboros-badge", state="attached")
        web.publish("two", {"index.html": APP.replace(b">app<", b">second<"),
                            "assets/app-C0ffEe12.js": b""})  # fmt: skip
        page.evaluate("say('again')")
        page.wait_for_function("document.querySelector('#ws').textContent === 'AGAIN'")
        assert page.evaluate("fetch('/assets/app-BxK2f9aQ.js').then(r => r.status)") == 200
        page.goto(f"{base}/")
        assert page.title() == "second"
        assert page.problems == []
        page.goto("about:blank")


def test_a_state_page_gives_way_to_the_preview_by_itself(web, page):
    web.state(state="building", run_id="run-1", step="Building", step_position=1, step_count=8)
    with running_surface(web.root) as surface:
        page.goto(f"http://127.0.0.1:{surface.port}/tools/12")
        assert "being built" in page.title()
        threading.Timer(0.2, lambda: web.publish("one", {"index.html": APP})).start()
        # Not wait_for_function: the page's own policy forbids evaluating text.
        page.wait_for_selector("#where", state="attached", timeout=10_000)
        assert page.title() == "app"
        page.goto("about:blank")


def test_the_badge_obeys_a_strict_policy(web, page):
    policy = "default-src 'none'; script-src 'self'; style-src 'none'"
    rule = [{"for": "/*", "values": {"Content-Security-Policy": policy}}]
    web.publish("one", {"index.html": APP}, badge=True, headers=rule)
    refused = []
    page.on("console", lambda message: refused.append(message.text))
    with running_surface(web.root) as surface:
        page.goto(f"http://127.0.0.1:{surface.port}/")
        page.wait_for_selector("ouroboros-badge", state="attached")
        assert not [text for text in refused if "badge" in text or "style" in text], refused
        page.goto("about:blank")
