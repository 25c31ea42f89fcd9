"""What a real Chromium sees of a release and its backend, all pages in one visit."""

import http.server
import json
import threading
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from tests.pages.conftest import CHROMIUM

from ouroboros.adapters.browser import PageBrowser
from ouroboros.adapters.command_runner import ProcessRunner
from ouroboros.domain.errors import PreviewError
from ouroboros.domain.page_visit import PageRequest, Visit, faults_of
from ouroboros.domain.slot import Slot

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]

HEAD = '<!doctype html><html lang="en"><head><title>TITLE</title></head><body>'
PAGES = {
    "good.html": '<p id="told"></p><script>fetch("/api/word").then((r) => r.json())'
    '.then((d) => { document.querySelector("#told").textContent = d.word; })</script>',
    "console.html": "<script>console.error('the board is broken')</script>",
    "uncaught.html": "<script>null.board</script>",
    "missing.html": '<img src="/nothing.png" alt="">',
    "given-up.html": "<script>const c = new AbortController(); setTimeout(() => c.abort(), 50);"
    "fetch('/api/slow', {signal: c.signal}).catch(() => {})</script>",
    "tall.html": '<div style="height:9000px;background:#123456"></div>',
    "stored.html": "<script>document.title = localStorage.seen || 'new'; localStorage.seen = 'old'"
    "</script>",
}  # fmt: skip


class Backend(http.server.BaseHTTPRequestHandler):
    waiting = threading.Event()

    def do_GET(self):
        if self.path == "/api/slow":
            self.waiting.wait(5)
        body = json.dumps({"word": "from the backend", "host": self.headers["Host"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("releases") / "p1"
    (root / "web").mkdir(parents=True)
    for name, body in PAGES.items():
        (root / "web" / name).write_text(HEAD.replace("TITLE", name) + body)
    facts = {"publish_id": "p1", "slot_id": "preview-1", "run_id": "r", "badge": True}
    (root / "release.json").write_text(json.dumps({**facts, "has_frontend": True, "spa": False}))
    return root


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> PageBrowser:
    return PageBrowser(ProcessRunner(), tmp_path_factory.mktemp("v"), Path(CHROMIUM), False)


@pytest.fixture(scope="module")
def seen(release, browser):
    asked = [
        PageRequest("/good.html", "from the backend"),
        *(PageRequest(f"/{name}") for name in PAGES if name not in ("good.html", "stored.html")),
        PageRequest("/stored.html?first"),
        PageRequest("/stored.html?second"),
        PageRequest("/nowhere"),
        PageRequest("/good.html?late", "never written", text_limit_s=0.3),
    ]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        visit = Visit(Slot(1), release, server.server_port, tuple(asked))
        found = browser.visit(visit)
    finally:
        Backend.waiting.set()
        server.shutdown()
        server.server_close()
    return {page.path.lstrip("/"): page for page in found}


def test_front_end_and_backend_are_seen_together(seen):
    assert faults_of(seen["good.html"], 200, "from the backend") == []
    assert seen["good.html"].title == "good.html"


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("console.html", "on the console: the board is broken"),
        ("uncaught.html", "on the console: uncaught"),
        ("missing.html", "a request failed: GET http://preview1.localhost:"),
        ("nowhere", "the page was answered with 404"),
        ("good.html?late", "'never written' was not to be seen on the page"),
    ],
)
def test_what_is_wrong_with_a_page_is_told(seen, page, fault):
    wanted = "never written" if "late" in page else ""
    (told,) = faults_of(seen[page], 200, wanted)
    assert told.startswith(fault)


def test_a_page_that_is_to_be_missing_is_no_fault(seen):
    assert faults_of(seen["nowhere"], 404, "") == []


def test_what_a_page_gave_up_by_itself_is_no_fault(seen):
    assert faults_of(seen["given-up.html"], 200, "") == []


def test_a_picture_ends_where_it_must_and_the_small_one_is_of_the_window(seen):
    whole = Image.open(BytesIO(seen["tall.html"].picture))
    assert whole.size == (1280, 4096)
    assert Image.open(BytesIO(seen["tall.html"].small)).size == (480, 300)


def test_pages_share_no_storage(seen):
    assert [seen[f"stored.html?{which}"].title for which in ("first", "second")] == ["new", "new"]


def test_the_mark_of_the_surface_is_not_in_pictures(seen):
    colours = Image.open(BytesIO(seen["uncaught.html"].picture)).convert("RGB").getcolors()
    assert [colour for _, colour in colours] == [(255, 255, 255)]


def test_nothing_of_a_visit_is_left(seen, browser):
    assert list(browser.visits.iterdir()) == []


def refused(browser: PageBrowser, release: Path, cancelled=None) -> PreviewError:
    with pytest.raises(PreviewError) as caught:
        browser.visit(Visit(Slot(1), release, 9, (PageRequest("/good.html"),)), cancelled)
    return caught.value


def test_on_a_host_no_browser_is_started(release, tmp_path):
    error = refused(PageBrowser(ProcessRunner(), tmp_path, Path(CHROMIUM), True), release)
    assert error.code == "browser_not_on_hosts"
    assert list(tmp_path.iterdir()) == []


def test_a_browser_that_is_not_there_or_does_not_work_is_told_apart(release, tmp_path):
    missing = refused(PageBrowser(ProcessRunner(), tmp_path, Path("/nowhere"), False), release)
    assert (missing.code, "/nowhere" in missing.message) == ("chromium_not_found", True)
    broken = refused(PageBrowser(ProcessRunner(), tmp_path, Path("/bin/false"), False), release)
    assert broken.code == "browser_failed"


def test_a_visit_that_nobody_waits_for_ends(release, browser):
    assert refused(browser, release, lambda: True).code == "visit_cancelled"
    assert list(browser.visits.iterdir()) == []
