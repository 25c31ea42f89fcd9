"""Do one job: `python -m ouroboros.entrypoints.visit < job.json`; exit status 0 when it is done.

With any other status the last line that is printed is a JSON document with `error` and `message`.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def main() -> int:
    """Read the job, visit its pages, write `seen.json` beside their pictures."""
    job = json.loads(sys.stdin.buffer.read())
    try:
        import playwright.async_api  # noqa: PLC0415  it is an extra
        from PIL import Image  # noqa: F401, PLC0415
    except ModuleNotFoundError as error:
        return _fail("browser_not_installed", f"there is no module {error.name}")
    try:
        asyncio.run(_visit(job))
    except playwright.async_api.Error as error:
        return _fail("browser_failed", error.message.strip()[:2000])
    return 0


async def _visit(job: Mapping[str, Any]) -> None:
    from ouroboros.entrypoints.visit.looking import opened_browser, see_page  # noqa: PLC0415
    from ouroboros.entrypoints.visit.showing import shown_release  # noqa: PLC0415

    directory = Path(job["directory"])
    async with (
        shown_release(job, directory) as port,
        opened_browser(job["chromium"], job["host_name"]) as browser,
    ):
        origin = f"http://{job['host_name']}:{port}"
        seen = [
            await see_page(browser, origin, page, directory / str(number))
            for number, page in enumerate(job["pages"], start=1)
        ]
    (directory / "seen.json").write_text(json.dumps(seen), encoding="utf-8")


def _fail(code: str, message: str) -> int:
    sys.stdout.write(json.dumps({"error": code, "message": message}) + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
