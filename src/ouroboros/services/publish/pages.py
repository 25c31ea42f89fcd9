"""Page checks: the candidate in a real browser, as a visitor will see it after the switch.

Apart from the other smoke checks, because all pages share one visit, and each leaves a picture.
"""

from typing import Any

from ouroboros.domain.application import SmokeCheck
from ouroboros.domain.page_visit import PageRequest, PageSeen, Visit, faults_of
from ouroboros.services.publish.work import Work


def require_browser(work: Work) -> None:
    """Refuse an application whose pages are to be checked where no browser can be had.

    Raises what `PageBrowser.require` raises.
    """
    if any(check.kind == "page" for check in work.application.smoke):
        work.browser.require()


def check_pages(work: Work, checks: list[SmokeCheck], port: int | None) -> list[dict[str, Any]]:
    """Visit the pages that are to be checked; nothing is started when there are none.

    Raises what `PageBrowser.visit` raises: a page that is to be checked and cannot be visited
    fails the publish.
    """
    if not checks:
        return []
    slot = work.publish.slot
    pages = tuple(PageRequest(check.path, check.contains) for check in checks)
    visit = Visit(slot, work.release, slot.api_port if port is None else port, pages)
    work.log.line(f"a browser visits {', '.join(check.path for check in checks)}")
    seen = work.browser.visit(visit, work.watch.stopped)
    return [
        _judge(work, number, check, page)
        for number, (check, page) in enumerate(zip(checks, seen, strict=True), start=1)
    ]


def _judge(work: Work, number: int, check: SmokeCheck, seen: PageSeen) -> dict[str, Any]:
    faults = faults_of(seen, check.status, check.contains)
    found: dict[str, Any] = {
        "check": f"the page {check.path} is {check.status} and without errors",
        "ok": not faults,
        "found": "; ".join(faults) or f"{seen.status} {seen.title}",
        "page": seen.document(),
    }
    if seen.picture:
        name = f"smoke.{work.publish.slot.id}.page-{number}.png"
        work.log.keep(name, seen.picture)
        work.store.record_artifact(work.publish, work.log.artifact(name))
        found["picture"] = name
    return found
