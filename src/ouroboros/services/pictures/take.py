"""Take: a picture of each preview that has become ready, and a look at one page right now.

The picture is best effort: it is taken after the publish has ended, so it can neither delay nor
fail it, and when there is none the publish says why.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ouroboros.adapters.browser import PageBrowser
from ouroboros.adapters.control.pictures import PictureStore
from ouroboros.adapters.publish_log import artifact_of
from ouroboros.adapters.release_files import read_release
from ouroboros.adapters.web_roots import WebRoots
from ouroboros.domain.errors import Failed, PreviewError, Refused
from ouroboros.domain.page_visit import PageRequest, PageSeen, Visit
from ouroboros.domain.slot import Slot, SlotPool
from ouroboros.plans.layout import Layout

_OF_THE_CONTROL_PLANE = ("control_plane_unreachable", "control_plane_busy")
_LOOK_WAITS_S = 60.0
_MOST_LOOK = 4
_NOT_TO_BE_HAD = ("browser_not_installed", "chromium_not_found")


@dataclass(frozen=True, slots=True)
class Pictures:
    """The use cases with what they need."""

    browser: PageBrowser
    store: PictureStore
    web_roots: WebRoots
    layout: Layout
    pool: SlotPool
    wanted: bool
    """Whether pictures are taken by themselves."""
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)
    _looking: threading.Semaphore = field(default_factory=partial(threading.Semaphore, _MOST_LOOK))

    def take_next(self) -> bool:
        """Take the picture of one live publish that has none; False when there is none.

        Raises only `control_plane_unreachable` and `control_plane_busy`; then it is taken later.
        """
        publish = self.store.next() if self.wanted else None
        if publish is None:
            return False
        try:
            self._take(publish)
        except PreviewError as error:
            if error.code in _OF_THE_CONTROL_PLANE:
                raise
            self.store.record(publish, _not_taken(error))
        except OSError as error:
            self.store.record(publish, _not_taken(Failed("host_error", str(error), "df -h")))
        return True

    def look(self, slot: Slot, path: str) -> tuple[str, PageSeen]:
        """Look at a page of the slot's preview as it is now: its publish, and what was seen.

        Nothing is kept. Raises `nothing_published`, `browser_busy`, `page_not_seen`, and what
        `PageBrowser.visit` raises.
        """
        release = self.web_roots.live_release(slot)
        if release is None:
            raise Refused("nothing_published", f"{slot.id} serves nothing", "ouroboros slots")
        with self._alone():
            page = PageRequest(path, whole=False)
            seen = self.browser.visit(Visit(slot, release, slot.api_port, (page,)))[0]
        if not seen.picture:
            raise Failed("page_not_seen", f"{path}: {seen.failure}", "look at the backend's log")
        return release.name, seen

    def _take(self, publish: Mapping[str, Any]) -> None:
        slot, publish_id = self.pool.parse(publish["slot_id"]), publish["publish_id"]
        release = self.layout.release(slot, publish_id)
        if not read_release(release)["has_frontend"]:
            self.store.record(publish, {"state": "none"})
            return
        visit = Visit(slot, release, slot.api_port, (PageRequest("/"),))
        seen = self.browser.visit(visit)[0]
        if not seen.picture:
            raise Failed("page_not_seen", seen.failure, f"ouroboros open {slot.id}")
        files = []
        for name, data in (("", seen.picture), (".small", seen.small)):
            path = self.layout.artifacts(publish_id) / f"picture.{slot.id}{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            files.append(artifact_of(path))
        whole, small = files
        found = {"state": "taken", "name": whole.name, "small": small.name, **seen.document()}
        self.store.record(publish, {**found, "taken_at": datetime.now(UTC).isoformat()}, files)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one look at a time and few wait: each that waits holds a thread of the API."""
        busy = Refused("browser_busy", "other pages are being looked at", "try again")
        if not self._looking.acquire(blocking=False):
            raise busy
        try:
            if not self._one_at_a_time.acquire(timeout=_LOOK_WAITS_S):
                raise busy
            try:
                yield
            finally:
                self._one_at_a_time.release()
        finally:
            self._looking.release()


def _not_taken(error: PreviewError) -> dict[str, Any]:
    """How a missing picture is recorded; where no browser can be had, that is no news."""
    state = "none" if error.code in _NOT_TO_BE_HAD else "failed"
    told = error.document()
    return {"state": state, **{key: told[key] for key in ("error", "message", "hint")}}
