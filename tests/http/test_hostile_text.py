"""Stored text of strangers in every page: it is shown as text, and no script of it runs."""

import shutil
from collections.abc import Iterator
from urllib.parse import quote

import pytest

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
HOSTILE = (
    "<script>window.trap('script')</script>",
    "<img src=x data-hostile onerror=\"window.trap('img')\">",
    "\"><svg data-hostile onload=window.trap('svg')>",
    "' onmouseover='window.trap(1)' data-hostile x='",
    "javascript:window.trap('link')",
    "</pre></textarea></title><script>window.trap('out')</script>",
    "{{ 7*7 }}{% raw %}${window.trap('template')}",
    "\u202egnp.evil \x1b]8;;http://evil\x07click\x1b]8;;\x07 \x1b[31mred",
)

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


@pytest.fixture
def trapped(browser):
    """A page that notes every script of the hostile texts that runs."""
    hits: list[str] = []

    def note(found: str) -> None:
        hits.append(found)

    page = browser.new_page()
    page.expose_function("trap", note)
    page.on("dialog", lambda dialog: (hits.append(dialog.message), dialog.dismiss()))
    yield page, hits
    page.close()


def store(served, text: str) -> dict[str, str]:
    """Put the text wherever branch code, a person or a worker may put one."""
    served.end_leases()
    slot = served.lease("hostile")
    publish = served.at.publishes.queue("hostile", "/tmp/nowhere", "main")
    shown = text.replace("\x1b", "\\x1b").replace("\x07", "\\x07")
    served.sql("UPDATE runs SET branch = %(text)s WHERE run_id = 'hostile'", text=shown)
    served.sql(
        "UPDATE publishes SET ref = %(text)s, repo = %(text)s, state = 'failed', "
        "finished_at = clock_timestamp(), failed_step = %(text)s, error = jsonb_build_object("
        "'error', %(text)s::text, 'message', %(text)s::text, 'hint', %(text)s::text), "
        "details = jsonb_build_object('picture', jsonb_build_object('state', 'failed', "
        "'message', %(text)s::text, 'hint', %(text)s::text)) WHERE publish_id = %(publish)s",
        text=shown,
        publish=publish,
    )
    served.sql(
        "INSERT INTO publish_steps (publish_id, step, position, state, fence, finished_at, result) "
        "VALUES (%(publish)s, 'frontend', 2, 'failed', 1, clock_timestamp(), "
        "jsonb_build_object('message', %(text)s::text))",
        publish=publish,
        text=shown,
    )
    served.sql(
        "INSERT INTO artifacts (publish_id, slot_id, fence, name, media_type, size_bytes, sha256, "
        "path) VALUES (%(publish)s, %(slot)s, 1, %(text)s, 'text/html', 1, 'x', '/x')",
        publish=publish,
        slot=slot,
        text=shown,
    )
    served.sql(
        "INSERT INTO events (kind, slot_id, run_id, details) VALUES (%(text)s, %(slot)s, 'hostile',"
        " jsonb_build_object('failed_step', %(text)s::text, 'ref', %(text)s::text))",
        slot=slot,
        text=shown,
    )
    served.sql(
        "INSERT INTO audit_log (who, action, slot_id, request, status, error) VALUES (%(text)s, "
        "%(text)s, %(slot)s, jsonb_build_object(%(text)s::text, %(text)s::text), 200, %(text)s)",
        slot=slot,
        text=shown,
    )
    served.sql(
        "INSERT INTO preview_db_resets (slot_id, run_id, db_name, strategy, seed_version, "
        "reset_status, reset_completed_at, details) VALUES (%(slot)s, %(text)s, %(text)s, 'seed', "
        "%(text)s, 'completed', clock_timestamp(), jsonb_build_object('fingerprint', "
        "%(text)s::text))",
        slot=slot,
        text=shown,
    )
    served.sql(
        "UPDATE tokens SET name = left(%(text)s, 80) WHERE kind = 'token'",
        text=shown,
    )
    directory = served.at.layout.artifacts(publish)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "preview.publish.log").write_text(text)
    return {"slot": slot, "publish": publish}


def test_the_trap_catches_what_runs(trapped):
    page, hits = trapped
    page.set_content(HOSTILE[1])
    page.wait_for_function("document.images.length && document.images[0].complete")
    page.wait_for_timeout(100)
    assert hits == ["img"]


def test_no_script_of_a_stored_text_runs_on_any_page(served, trapped, cluster):
    cluster.drop_slot_databases()
    page, hits = trapped
    served.token("read")
    names = store(served, " ".join(HOSTILE))
    base = f"http://127.0.0.1:{served.port}"
    pages = [
        "/",
        "/publishes",
        "/events",
        "/databases",
        "/runs/hostile",
        f"/slots/{names['slot']}",
        f"/slots/{names['slot']}/database",
        f"/publishes/{names['publish']}",
        f"/actions/publish?slot={names['slot']}",
        f"/actions/release?slot={names['slot']}",
        f"/actions/cancel?publish={names['publish']}",
    ]
    seen = 0
    for path in pages:
        answer = page.goto(base + path)
        assert answer.status != 500, (path, page.locator("main").inner_text())
        page.wait_for_load_state()
        seen += page.locator("main").inner_text().count("trap")
        links = page.eval_on_selector_all("[href]", "all => all.map(each => each.href)")
        assert not [link for link in links if link.startswith("javascript:")], path
        assert page.locator("[data-hostile]").count() == 0, path
        page.mouse.move(200, 200)
    # Signed-out browsers may not see the audit log; its page is looked at as text.
    with served.local() as api:
        access = api.get("/access", headers={"Accept": "text/html"}).text
    assert "&lt;script&gt;" in access
    assert "<script>window" not in access
    assert hits == []
    assert seen > len(pages)


def test_a_text_in_an_address_is_text(served, trapped):
    page, hits = trapped
    base = f"http://127.0.0.1:{served.port}"
    text = quote(" ".join(HOSTILE[:6]), safe="")
    for path in ("/slots/", "/runs/", "/publishes/", "/actions/", "/", "/sign-in?link="):
        page.goto(base + path + text)
        assert page.locator("[data-hostile]").count() == 0
    assert hits == []


def test_a_log_is_never_served_as_a_page(served):
    names = store(served, HOSTILE[0])
    served.sql(
        "INSERT INTO artifacts (publish_id, slot_id, fence, name, media_type, size_bytes, sha256, "
        "path) VALUES (%(publish)s, 'preview-1', 1, 'preview.publish.log', 'text/html', 1, 'x', "
        "'/x')",
        publish=names["publish"],
    )
    with served.tcp() as api:
        answer = api.get(f"/publishes/{names['publish']}/artifacts/preview.publish.log")
        outside = api.get(f"/publishes/{names['publish']}/artifacts/..%2F..%2Fsecrets")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert outside.status_code == 404


def test_every_page_is_under_the_policy(served):
    with served.tcp(Accept="text/html") as api:
        for path in ("/", "/publishes", "/events", "/databases", "/docs", "/nothing"):
            policy = api.get(path).headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
