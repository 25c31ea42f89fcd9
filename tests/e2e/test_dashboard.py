"""The dashboard in a real Chromium, as a person uses it: sign in, publish, look, end."""

from collections.abc import Iterator

import pytest
from tests.e2e.test_browser import CHROMIUM, FLAGS

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]

RUN = "by-hand"
PATIENCE_MS = 120_000
PAGES = (
    "/",
    "/publishes",
    "/publishes/p1",
    "/slots/preview-1",
    "/databases",
    "/events",
    "/hosts",
    "/docs",
)

# What is not for who is not signed in, or costs an examination.
FURTHER = (
    "/slots/preview-2/database",
    "/slots/preview-2/verify",
    "/hosts/findings",
    "/access",
    "/actions/reset?slot=preview-1",
    "/actions/lock?slot=preview-3",
)


@pytest.fixture(scope="module")
def browser() -> Iterator:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        launched = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


def address(published) -> str:
    return f"http://ouroboros.localhost:{published.instance.api_port}"


@pytest.fixture(scope="module")
def signed_in(browser, published) -> Iterator:
    """A person's browser, signed in by a one-time link."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(published.instance.ouroboros("open", "--sign-in").document["url"])
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Slots").wait_for()
    page.close()
    yield context
    context.close()


def do(page, button: str, confirm: str, **fields: str) -> None:
    """Open an action's dialog, fill it in, confirm where it destroys, and do it."""
    page.get_by_role("link", name=button).first.click()
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    for label, value in fields.items():
        dialog.get_by_label(label.replace("_", " ")).fill(value)
    for box in dialog.get_by_role("checkbox").all():
        box.check()
    dialog.get_by_role("button", name=confirm).click()


def test_a_person_does_the_whole_job_without_a_terminal(signed_in, published):
    page = signed_in.new_page()
    page.goto(address(published))
    page.locator("#live[data-state=live]").wait_for()
    do(page, "Lease a slot…", "Lease it", Run=RUN)
    page.get_by_role("heading", name="preview-3").wait_for()

    branch = "codex/run-demo-reservations"
    do(page, "Publish…", "Publish", Repository=str(published.repository), Branch=branch)
    page.locator(".steps").wait_for()
    # From here on nothing is clicked: the page follows the publish by itself.
    page.locator(".head .state.ready").wait_for()
    assert page.locator(".steps .state.done").count() == 8
    assert "Switch visitors over" in page.locator("#log").inner_text()
    assert page.get_by_role("link", name="Open preview").count() == 1

    page.goto(f"{address(published)}/slots/preview-3/database")
    assert page.get_by_role("heading", name="public.reservations").count() == 1

    page.goto(f"{address(published)}/slots/preview-3")
    do(page, "Keep a snapshot…", "Keep it", Name="by-hand-1")
    page.get_by_role("heading", name="Databases").wait_for()
    assert page.get_by_text("by-hand-1").count() > 0

    page.goto(f"{address(published)}/slots/preview-3")
    do(page, "Reset the database…", "Reset it")
    page.get_by_role("heading", name="preview-3").wait_for()
    page.goto(f"{address(published)}/slots/preview-3/database")
    assert page.get_by_text("Nothing changed").count() == 1

    page.goto(f"{address(published)}/slots/preview-3")
    do(page, "Release…", "Release it")
    page.get_by_text("It was given back.").first.wait_for()
    listed = published.instance.ouroboros("slots").document["slots"]
    assert [slot["state"] for slot in listed if slot["slot_id"] == "preview-3"] == ["free"]
    page.close()


def test_what_another_does_is_on_the_page_without_a_reload(signed_in, published):
    page = signed_in.new_page()
    page.goto(address(published))
    page.locator("#live[data-state=live]").wait_for()
    page.evaluate("window.stays = true")
    lease = published.instance.allocate("elsewhere")
    page.locator(f"#{lease.document['slot_id']}").get_by_text("codex/run-elsewhere").wait_for()
    published.instance.release("elsewhere", lease.document["slot_id"])
    page.locator(f"#{lease.document['slot_id']} .state.free").wait_for()
    assert page.evaluate("window.stays") is True
    page.close()


def test_an_operator_locks_a_slot_with_a_reason_and_unlocks_it(signed_in, published):
    page = signed_in.new_page()
    page.goto(f"{address(published)}/slots/preview-3")
    do(page, "Lock…", "Lock it", Why="disk is being changed")
    page.get_by_text("disk is being changed").first.wait_for()
    page.goto(f"{address(published)}/hosts")
    assert page.locator(".state.done", has_text="worker goes round").count() == 1
    assert page.get_by_role("row", name="preview-3").get_by_text("disk is being").count() == 1
    refused = published.instance.ouroboros("allocate", "--run-id", "shut-out", "--strategy", "seed",
                                           "--seed-version", "v1")  # fmt: skip
    assert refused.status == 75, refused
    page.get_by_role("row", name="preview-3").get_by_role("link", name="Unlock…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Unlock it").click()
    # The run that waited gets it.
    page.get_by_role("heading", name="preview-3").wait_for()
    page.get_by_text("codex/run-shut-out").first.wait_for()
    assert published.instance.release("shut-out", "preview-3").status == 0
    page.close()


def test_a_database_is_verified_on_a_page(signed_in, published):
    page = signed_in.new_page()
    page.goto(f"{address(published)}/slots/preview-1")
    page.get_by_role("link", name="Verify the database").click()
    found = page.get_by_text("is exactly what reset").or_(page.get_by_text("has changed since"))
    found.wait_for()
    assert page.locator("dd.mono").count() == 3
    page.close()


def test_what_destroys_is_not_done_without_a_yes(signed_in, published):
    page = signed_in.new_page()
    page.goto(f"{address(published)}/actions/release?slot=preview-1")
    assert page.get_by_text("goes away and its backend is stopped").count() == 1
    page.get_by_role("button", name="Release it").click()
    assert page.evaluate("document.querySelector('[name=sure]').validity.valueMissing")
    listed = published.instance.ouroboros("slots").document["slots"]
    assert listed[0]["state"] == "ready"
    page.close()


def test_without_a_script_everything_can_be_read(browser, published):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    for path in PAGES:
        page.goto(address(published) + path)
        assert page.get_by_role("heading", level=1).count() == 1, path
    page.goto(f"{address(published)}/publishes/p1")
    assert "Switch visitors over" in page.locator("#log").inner_text()
    page.goto(f"{address(published)}/slots/preview-1")
    page.get_by_role("link", name="Release…").click()
    # Not signed in: it says what would happen, and how to sign in.
    assert page.get_by_role("button", name="Release it").count() == 0
    assert page.get_by_role("link", name="sign in", exact=True).count() == 1
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_sound_for_keyboards_and_screen_readers(signed_in, browser, published, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    context = browser.new_context(color_scheme=scheme, storage_state=signed_in.storage_state())
    page = context.new_page()
    problems = {}
    for path in (*PAGES, *FURTHER):
        page.goto(address(published) + path)
        found = axe.Axe().run(page).response["violations"]
        if found:
            problems[path] = [(each["id"], each["nodes"][0]["html"][:200]) for each in found]
    assert problems == {}
    context.close()


def test_a_phone_shows_everything_without_scrolling_sideways(signed_in, browser, published):
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, storage_state=signed_in.storage_state()
    )
    page = context.new_page()
    for path in (*PAGES, *FURTHER):
        page.goto(address(published) + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
    context.close()


def test_a_preview_is_not_sent_the_dashboards_cookie(signed_in, published):
    cookies = signed_in.cookies()
    assert [cookie["domain"] for cookie in cookies] == ["ouroboros.localhost"]
    page = signed_in.new_page()
    port = published.instance.web_port(1)
    for host in ("preview1.localhost", "localhost", "127.0.0.1"):
        answer = page.goto(f"http://{host}:{port}/")
        assert "ouroboros" not in answer.request.all_headers().get("cookie", ""), host
    page.close()
