"""Visits of pages by a real browser: what is asked, what was seen, and what is wrong with it.

Pure, so that what fails a publish is decided in one place, and not in the process beside the
browser, which only looks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ouroboros.domain.slot import Slot

WIDTH, HEIGHT = 1280, 800
"""The window of the browser, in CSS pixels."""
LONGEST = 4096
"""A picture of a whole page ends here."""
SMALL_WIDTH, SMALL_HEIGHT = 480, 300
"""The small picture, for lists."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """One page to look at. `contains` is text that must be seen on it."""

    path: str
    contains: str = ""
    whole: bool = True
    """Whether the picture is of the whole page, or of what the window shows."""
    text_limit_s: float = 10.0
    """How long `contains` may take to appear."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Pages of one release with its backend, visited by the preview's own name."""

    slot: Slot
    release: Path
    api_port: int
    pages: tuple[PageRequest, ...]


@dataclass(frozen=True, slots=True)
class PageSeen:
    """What the browser saw of one page; `failure` says why it could not be opened at all."""

    path: str
    status: int = 0
    title: str = ""
    contains_seen: bool = True
    console_errors: tuple[str, ...] = ()
    failed_requests: tuple[str, ...] = ()
    failure: str = ""
    duration_ms: int = 0
    picture: bytes = field(default=b"", repr=False)
    """A PNG; empty when there was nothing to take one of."""
    small: bytes = field(default=b"", repr=False)

    def document(self) -> dict[str, Any]:
        """What was seen, without the pictures."""
        return {
            "path": self.path,
            "status": self.status,
            "title": self.title,
            "console_errors": list(self.console_errors),
            "failed_requests": list(self.failed_requests),
            "duration_ms": self.duration_ms,
        }


def read_seen(found: Mapping[str, Any], picture: bytes, small: bytes) -> PageSeen:
    """What the process beside the browser wrote about one page."""
    return PageSeen(
        path=str(found["path"]),
        status=int(found["status"]),
        title=str(found["title"]),
        contains_seen=bool(found["contains_seen"]),
        console_errors=tuple(map(str, found["console_errors"])),
        failed_requests=tuple(map(str, found["failed_requests"])),
        failure=str(found["failure"]),
        duration_ms=int(found["duration_ms"]),
        picture=picture,
        small=small,
    )


def faults_of(seen: PageSeen, status: int, contains: str) -> list[str]:
    """What is not as a check wants it, in full sentences; nothing when all of it holds."""
    if seen.failure:
        return [f"the page could not be opened: {seen.failure}"]
    faults = []
    if seen.status != status:
        faults.append(f"the page was answered with {seen.status}")
    if not seen.contains_seen:
        faults.append(f"{contains!r} was not to be seen on the page")
    faults += [f"on the console: {text}" for text in seen.console_errors]
    faults += [f"a request failed: {text}" for text in seen.failed_requests]
    return faults
