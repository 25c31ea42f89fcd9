"""The two previews as a reviewer sees them, in a real Chromium."""

import shutil
from collections.abc import Iterator

import psycopg
import pytest

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        launched = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


def open_page(browser, published, number: int, path: str = "/"):
    page = browser.new_page()
    port = published.instance.web_port(number)
    page.goto(f"http://preview{number}.localhost:{port}{path}")
    page.get_by_role("heading").first.wait_for()
    return page


def test_the_two_previews_are_different_pages_each_with_its_own_data(browser, published):
    board, wall = (open_page(browser, published, number) for number in (1, 2))
    assert board.get_by_text("on the board").count() > 0
    assert wall.get_by_role("link", name="Reservations").count() == 1
    assert board.get_by_role("link", name="Reservations").count() == 0
    for page in (board, wall):
        assert page.get_by_text("62 tools").count() > 0
        page.close()


def test_a_change_in_one_previews_data_is_not_seen_in_the_other(browser, published):
    before = [tool(browser, published, number, 12) for number in (1, 2)]
    url = published.instance.ouroboros("db", "url", "--slot", "preview-2").document
    with psycopg.connect(url["database_url"]) as database:
        database.execute("UPDATE tools SET name = 'A tool of preview-2 alone' WHERE id = 12")
    after = [tool(browser, published, number, 12) for number in (1, 2)]
    assert after[0] == before[0]
    assert "A tool of preview-2 alone" in after[1]


def tool(browser, published, number: int, identifier: int) -> str:
    page = open_page(browser, published, number, f"/tools/{identifier}")
    text = page.get_by_role("heading", level=1).inner_text()
    page.close()
    return text
