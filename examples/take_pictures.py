"""Takes the pictures of README and docs from a running demo: `make demo`, then this.

    .venv/bin/python examples/take_pictures.py

It signs in to the dashboard, lends tools so that there is a difference to show, publishes the
second branch again for the picture of a publish at work, and overwrites docs/images.
"""

import json
import subprocess
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

HOME = Path(__file__).resolve().parents[1]
IMAGES = HOME / "docs" / "images"
REPOSITORY = HOME / ".ouroboros" / "demo" / "toolshed"
RUN_ID = "demo-reservations"
WINDOW = {"width": 1280, "height": 860}
PHONE = {"width": 360, "height": 740}


def ouroboros(*arguments: str) -> dict:
    program = [str(HOME / "scripts" / "ouroboros"), *arguments, "--json"]
    return json.loads(subprocess.run(program, stdout=subprocess.PIPE, check=True).stdout)


def ask(url: str, document: dict | None = None) -> dict | list:
    body = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def lend_tools(shown: str) -> None:
    """Change a few rows of a slot's database, as visitors would."""
    url = f"http://127.0.0.1:{urlsplit(shown).port}"  # Python asks DNS for *.localhost
    free = ask(f"{url}/api/tools?available=true")
    for tool, member in zip(free[:3], ask(f"{url}/api/members"), strict=False):
        asked = {"member_id": member["id"], "days": 7, "purpose": "A shelf for the kitchen"}
        ask(f"{url}/api/tools/{tool['id']}/lend", asked)


def take(page: Page, name: str) -> None:
    page.wait_for_timeout(400)  # what fades in has come
    page.screenshot(path=IMAGES / f"{name}.png")
    print(name)


def take_all(browser: Browser) -> None:
    slots = {each["run_id"]: each for each in ouroboros("slots")["slots"] if each["run_id"]}
    first, second = slots["demo-page"], slots[RUN_ID]
    context = browser.new_context(viewport=WINDOW)
    page = context.new_page()
    for number, slot in ((1, first), (2, second)):
        page.goto(slot["url"])
        page.wait_for_load_state("networkidle")
        take(page, f"preview-{number}")
    lend_tools(second["url"])
    page.goto(ouroboros("open", "--sign-in")["url"])
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Slots").wait_for()
    base = "/".join(page.url.split("/")[:3])
    page.goto(base)
    take(page, "dashboard-slots")
    page.goto(f"{base}/slots/{second['slot_id']}")
    take(page, "dashboard-slot")
    page.goto(f"{base}/slots/{second['slot_id']}/database")
    take(page, "dashboard-database")
    page.goto(f"{base}/slots/{first['slot_id']}")
    page.get_by_role("link", name="Release").first.click()
    page.get_by_role("dialog").wait_for()
    take(page, "dashboard-action")
    phone = context.new_page()
    phone.set_viewport_size(PHONE)
    phone.goto(base)
    take(phone, "dashboard-phone")
    dark = context.new_page()
    dark.set_viewport_size(WINDOW)
    dark.emulate_media(color_scheme="dark")
    queued = ouroboros(
        "publish", "--run-id", RUN_ID, "--repo", str(REPOSITORY),
        "--ref", f"codex/run-{RUN_ID}", "--detach",
    )  # fmt: skip
    dark.goto(f"{base}/publishes/{queued['publish_id']}")
    take(dark, "dashboard-publish")


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        take_all(browser)
        browser.close()


if __name__ == "__main__":
    main()
