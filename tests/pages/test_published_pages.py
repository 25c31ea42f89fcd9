"""Pages of publishes: checked before the switch, pictured after it, compared and looked at."""

import json
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import sync_playwright
from tests.pages.conftest import CHROMIUM

pytestmark = pytest.mark.browser

GOOD, BAD = (0x33, 0x66, 0x99), (0xAA, 0x00, 0x00)


def artifact(pictured, publish_id: str, name: str) -> bytes:
    return (pictured.instance.state_dir / "artifacts" / publish_id / name).read_bytes()


def colours(data: bytes) -> list:
    picture = Image.open(BytesIO(data)).convert("RGB")
    return [colour for _, colour in picture.getcolors(1 << 20)]


@pytest.fixture(scope="module")
def bad(pictured, good):
    """A publish whose page has an error; made after the good one and never shown."""
    return pictured.publish("#aa0000", "console.error('the board is broken')")


def test_a_page_that_works_is_published_and_leaves_its_picture(pictured, good):
    name = f"smoke.{pictured.slot_id}.page-1.png"
    result = json.loads(artifact(pictured, good["publish_id"], f"smoke.{pictured.slot_id}.json"))
    (check,) = result["checks"]
    assert (check["ok"], check["picture"]) == (True, name)
    # The text came from the candidate's backend, which no visitor could reach yet.
    assert check["page"]["title"] == "The board"
    assert GOOD in colours(artifact(pictured, good["publish_id"], name))
    recorded = {row["name"]: row for row in good["artifacts"]}[name]
    assert (recorded["media_type"], recorded["slot_id"]) == ("image/png", pictured.slot_id)


def test_a_page_with_an_error_fails_the_publish_and_the_old_one_is_served(pictured, good, bad):
    assert bad.status == 1, bad
    assert bad.document["error"] == "smoke_check_failed"
    assert "on the console: the board is broken" in bad.document["message"]
    slot = pictured.get("/api/slots")["slots"][0]
    assert slot["publish_id"] == good["publish_id"]
    # What it would have looked like is kept.
    name = f"smoke.{pictured.slot_id}.page-1.png"
    assert BAD in colours(artifact(pictured, bad.document["publish_id"], name))


def test_without_a_browser_a_page_check_fails_and_says_what_is_missing(pictured, good):
    with pictured.without_browser():
        done = pictured.publish()
        asked = pictured.instance.ouroboros("screenshot", pictured.slot_id)
    assert done.status == 1, done
    assert done.document["error"] == asked.document["error"] == "chromium_not_found"
    assert "OUROBOROS_CHROMIUM" in done.document["hint"]
    assert done.document["failed_step"] == "source"  # nothing was built in vain


def test_a_picture_is_taken_after_the_publish(pictured, good):
    found = pictured.picture_of(good["publish_id"])
    assert (found["state"], found["title"]) == ("taken", "The board")
    path = f"/api/publishes/{good['publish_id']}/pictures"
    assert GOOD in colours(pictured.api().get_file(f"{path}/{found['name']}"))
    small = pictured.api().get_file(f"{path}/{found['small']}")
    assert Image.open(BytesIO(small)).size == (480, 300)
    slot = pictured.get("/api/slots")["slots"][0]
    assert slot["picture"] == found["small"]
    events = pictured.get(f"/api/events?publish_id={good['publish_id']}")["events"]
    assert [each["kind"] for each in events].count("picture.taken") == 1


def test_two_publishes_are_compared_and_the_region_is_marked(pictured, good, bad, tmp_path):
    ids = (good["publish_id"], bad.document["publish_id"])
    target = tmp_path / "both.png"
    compared = pictured.instance.ouroboros("compare", *ids, "--output", str(target))
    assert compared.status == 0, compared
    found = compared.document
    # One of them was never shown, so it is the pictures of the page check that are compared.
    assert found["page"] == "smoke.page-1.png"
    assert found["region"] == {"x": 40, "y": found["region"]["y"], "width": 300, "height": 120}
    assert found["differing_pixels"] == 300 * 120
    both = Image.open(BytesIO(target.read_bytes()))
    assert both.size == (2 * found["width"] + 24, found["height"])
    frame = (found["region"]["x"] - 5, found["region"]["y"] - 5)
    assert both.convert("RGB").getpixel(frame) == (214, 40, 40)
    same = pictured.instance.ouroboros("compare", ids[0], ids[0])
    assert (same.document["same"], same.document["region"]) == (True, None)
    nothing = pictured.instance.ouroboros("compare", *ids, "--page", "other.png")
    assert (nothing.status, nothing.document["error"]) == (2, "nothing_to_compare")


def test_a_screenshot_is_of_the_page_as_it_is_now(pictured, good, tmp_path):
    target = tmp_path / "now.png"
    asked = ("screenshot", pictured.slot_id, "--path", "/?now", "--output", str(target))
    done = pictured.instance.ouroboros(*asked)
    assert done.status == 0, done
    assert (done.document["publish_id"], done.document["status"]) == (good["publish_id"], 200)
    assert Image.open(BytesIO(target.read_bytes())).size == (1280, 800)
    assert GOOD in colours(target.read_bytes())


def test_the_dashboard_shows_the_pictures(pictured, good, bad):
    pictured.picture_of(good["publish_id"])
    base = f"http://ouroboros.localhost:{pictured.instance.api_port}"
    failed = bad.document["publish_id"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        refused = []
        page.on("console", lambda told: refused.append(told.text) if told.type == "error" else 0)
        for path, pictures in (
            ("/", 1),
            (f"/publishes/{good['publish_id']}", 1),
            (f"/publishes/{good['publish_id']}/compare/{failed}", 2),
        ):
            page.goto(base + path)
            shown = page.get_by_role("img", name="The page of")
            assert shown.count() == pictures
            for number in range(pictures):
                shown.nth(number).scroll_into_view_if_needed()
                page.wait_for_function(
                    "at => document.querySelectorAll('main img')[at].naturalWidth > 0", arg=number
                )
        page.goto(f"{base}/publishes/{failed}")
        page.get_by_role("link", name=f"Compare with {good['publish_id']}").click()
        page.get_by_text("pixels differ").wait_for()
        browser.close()
    assert refused == []
