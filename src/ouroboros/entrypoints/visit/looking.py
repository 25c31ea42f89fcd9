"""One page in Chromium: open it, wait until it is quiet, note what went wrong, take a picture.

Each page gets a context of its own, so no cookie or storage of one reaches another. What differs
without a reason (animations, the blinking caret, the mark that the surface draws) is left out of
the pictures, because they are compared.
"""

import os
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.async_api import Browser, ConsoleMessage, Page, Request, Response, async_playwright
from playwright.async_api import Error as BrowserError
from playwright.async_api import TimeoutError as TookTooLong

from ouroboros.domain.page_visit import HEIGHT, LONGEST, SMALL_HEIGHT, SMALL_WIDTH, WIDTH

_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
_OPEN_LIMIT_MS = 20_000
_QUIET_LIMIT_MS = 3_000
_TALLEST = 16_000
"""A page that is taller is shown as far as the window reaches: Chromium cannot draw it whole."""
_MOST = 20
_LONGEST_TEXT = 300
_WITHOUT_BADGE = "ouroboros-badge { display: none !important }"
_ABORTED = "net::ERR_ABORTED"
_FAILED_RESOURCE = "Failed to load resource"


@asynccontextmanager
async def opened_browser(chromium: str, host_name: str) -> AsyncIterator[Browser]:
    """A browser that finds the preview's name on this machine.

    Its own sandbox is on wherever that is possible: root has none.
    """
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium,
            args=[*_FLAGS, f"--host-resolver-rules=MAP {host_name} 127.0.0.1"],
            chromium_sandbox=os.geteuid() != 0,
        )
        try:
            yield browser
        finally:
            await browser.close()


async def see_page(
    browser: Browser, origin: str, asked: Mapping[str, Any], picture: Path
) -> dict[str, Any]:
    """Visit one page and write `<picture>.png` and `<picture>.small.png`; never raises for it."""
    context = await browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT}, reduced_motion="reduce", timezone_id="UTC"
    )
    page = await context.new_page()
    notes = _Notes(page)
    began = time.monotonic()
    seen: dict[str, Any] = {
        "path": asked["path"], "status": 0, "title": "", "contains_seen": True, "failure": "",
    }  # fmt: skip
    try:
        answer = await page.goto(origin + asked["path"], wait_until="load", timeout=_OPEN_LIMIT_MS)
        seen["status"] = answer.status if answer else 0
        limit_s = asked["text_limit_s"]
        seen["contains_seen"] = await _has_text(page, asked["contains"], limit_s)
        with suppress(TookTooLong):  # a page that keeps a stream open is never quiet
            await page.wait_for_load_state("networkidle", timeout=_QUIET_LIMIT_MS)
        seen["title"] = _short(await page.title())
        await _take_picture(page, picture, whole=asked["whole"])
    except BrowserError as error:
        seen["failure"] = _short(error.message.strip().splitlines()[0])
    seen["console_errors"] = notes.console_errors
    seen["failed_requests"] = notes.failed_requests
    seen["duration_ms"] = round((time.monotonic() - began) * 1000)
    await context.close()
    return seen


class _Notes:
    """What goes wrong on a page while it is open."""

    def __init__(self, page: Page) -> None:
        self.console_errors: list[str] = []
        self.failed_requests: list[str] = []
        self._page = page
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: _note(self.console_errors, f"uncaught {error}"))
        page.on("requestfailed", self._on_failed)
        page.on("response", self._on_response)

    def _on_console(self, message: ConsoleMessage) -> None:
        # A resource that failed is among the requests, with its status.
        if message.type == "error" and not message.text.startswith(_FAILED_RESOURCE):
            _note(self.console_errors, message.text)

    def _on_failed(self, request: Request) -> None:
        # What the page itself gave up (a closed stream, a navigation) is no failure.
        if request.failure != _ABORTED and not self._is_page(request):
            _note(self.failed_requests, f"{request.method} {request.url}: {request.failure}")

    def _on_response(self, response: Response) -> None:
        request = response.request
        if response.status >= 400 and not self._is_page(request):
            _note(self.failed_requests, f"{request.method} {request.url}: {response.status}")

    def _is_page(self, request: Request) -> bool:
        """Whether it is the page itself, whose status is looked at by itself."""
        return request.is_navigation_request() and request.frame == self._page.main_frame


async def _has_text(page: Page, text: str, limit_s: float) -> bool:
    if not text:
        return True
    try:
        found = page.get_by_text(re.compile(re.escape(text)))
        await found.first.wait_for(state="visible", timeout=limit_s * 1000)
    except TookTooLong:
        return False
    return True


async def _take_picture(page: Page, target: Path, *, whole: bool) -> None:
    height = await page.evaluate("document.documentElement.scrollHeight") if whole else HEIGHT
    data = await page.screenshot(
        full_page=whole and height <= _TALLEST,
        animations="disabled",
        caret="hide",
        scale="css",
        style=_WITHOUT_BADGE,
    )
    with Image.open(BytesIO(data), formats=["PNG"]) as picture:
        cut = picture.convert("RGB").crop((0, 0, picture.width, min(picture.height, LONGEST)))
    cut.save(target.with_suffix(".png"), optimize=True)
    window = cut.crop((0, 0, cut.width, min(cut.height, HEIGHT)))
    window.thumbnail((SMALL_WIDTH, SMALL_HEIGHT))
    window.save(target.with_suffix(".small.png"), optimize=True)


def _note(notes: list[str], text: str) -> None:
    if len(notes) < _MOST:
        notes.append(_short(text))


def _short(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_TEXT]
