"""What a slot shows at this moment: a release, its root's own files, or the state it is in.

Apart, because it is the one place that follows the links `live` and `current`. A view is a value:
a request that has begun with one ends with it, whatever is published meanwhile.
"""

from __future__ import annotations

import json
import os
import sys
from typing import NamedTuple

from ouroboros.entrypoints.surface.release import (
    Release,
    ReleaseInfo,
    index_plain,
    index_release,
)

FORMER_RELEASES = 3
DIRECTORIES = 1000


class SlotState(NamedTuple):
    """What state.json says while there is no release; all of it is for people to read."""

    state: str = "free"
    slot_id: str = ""
    run_id: str = ""
    commit_sha: str = ""
    branch: str = ""
    step: str = ""
    step_position: int = 0
    step_count: int = 0
    message: str = ""
    since: str = ""
    log_url: str = ""
    database_fingerprint: str = ""


class View:
    """A pinned answer to "what is served": `release` is None when there is only a state.

    `lines` are the header lines that every answer of this view carries.
    """

    __slots__ = ("_former", "directory", "is_published", "lines", "release", "slot_id", "state")

    def __init__(
        self, slot_id: str, state: SlotState, release: Release | None, directory: str = ""
    ) -> None:
        self.slot_id = slot_id
        self.state = state
        self.release = release
        self.directory = directory
        self.is_published = directory != ""
        self._former: list[Release] | None = None
        names = [("Slot", slot_id)]
        if release is not None and self.is_published:
            info = release.info
            names += [("Run", info.run_id), ("Commit", info.commit_sha)]
            names += [("Publish", info.publish_id)]
        names += [("Data", self.state.database_fingerprint[:16])]
        self.lines = "".join(f"X-Preview-{n}: {v}\r\n" for n, v in names if v).encode()

    @property
    def info(self) -> ReleaseInfo:
        """What the release says about itself, or the defaults when nothing is published."""
        return self.release.info if self.release is not None else _NOTHING

    @property
    def commit(self) -> str:
        """The commit that is served, or the empty string."""
        return self.info.commit_sha if self.is_published else ""

    def former(self) -> list[Release]:
        """The previous releases of the same run that are still on disk, newest first."""
        if self._former is None:
            self._former = _index_former(self.directory, self.release)
        return self._former


_NOTHING = ReleaseInfo()


class Source:
    """Resolves a web root to a view, again whenever its links or its state have changed."""

    def __init__(self, root: str, slot_id: str) -> None:
        self._root = root
        self._live = os.path.join(root, "live")
        self._slot_id = slot_id

    @property
    def directories(self) -> list[str]:
        """The directories in which a rename can change the view."""
        if self.is_managed:
            return [self._root, os.path.realpath(self._live)]
        return [path for path, _, _ in os.walk(self._root)][:DIRECTORIES]

    @property
    def is_managed(self) -> bool:
        """Whether releases are published to this root (it has the link `live`)."""
        return os.path.islink(self._live)

    def signature(self) -> tuple[object, ...]:
        """A cheap fingerprint: as long as it is equal, the view is the same."""
        return (
            _link(self._live),
            _link(os.path.join(self._live, "current")),
            _stamp(os.path.join(self._live, "state.json")),
        )

    def held_until(self) -> float:
        """Until when requests to the backend are to wait (epoch seconds); 0 when they are not."""
        try:
            with open(os.path.join(self._live, "hold"), encoding="ascii") as file:
                return float(file.read(40))
        except (OSError, ValueError):
            return 0.0

    def resolve(self) -> View:
        """Read links, state and release; a release that cannot be read counts as failed."""
        if not self.is_managed:
            info = ReleaseInfo(slot_id=self._slot_id)
            return View(self._slot_id, SlotState(), index_plain(self._root, info))
        state = self._read_state()
        current = os.path.join(self._live, "current")
        name = _link(current)
        if name is None:
            return View(self._slot_id, state, None)
        directory = os.path.realpath(current)
        try:
            release = index_release(directory, name)
        except (OSError, ValueError) as error:
            print(f"surface: release {name!r} cannot be read: {error}", file=sys.stderr)
            if state.state in ("free", "ready"):
                state = SlotState("failed", self._slot_id, message="The release cannot be read.")
            return View(self._slot_id, state, None)
        return View(self._slot_id, state, release, directory)

    def _read_state(self) -> SlotState:
        try:
            with open(os.path.join(self._live, "state.json"), "rb") as file:
                document = json.loads(file.read(256 * 1024))
        except (OSError, ValueError):
            return SlotState(slot_id=self._slot_id)
        if not isinstance(document, dict):
            return SlotState(slot_id=self._slot_id)
        known = {
            name: value
            for name, value in document.items()
            if name in SlotState._fields and type(value) is type(getattr(_NO_STATE, name))
        }
        return SlotState(**known)


_NO_STATE = SlotState()


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _index_former(directory: str, release: Release | None) -> list[Release]:
    """Index the other releases of the same run beside `directory`."""
    if release is None or not directory or not release.info.run_id:
        return []
    parent, own = os.path.split(directory)
    stamped = []
    try:
        with os.scandir(parent) as listing:
            for entry in listing:
                if entry.name != own and entry.is_dir(follow_symlinks=False):
                    stamped.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.path))
    except OSError:
        return []
    found: list[Release] = []
    for _, path in sorted(stamped, reverse=True)[:12]:
        try:
            former = index_release(path, os.path.basename(path))
        except (OSError, ValueError):
            continue
        info = former.info
        if (info.run_id, info.slot_id) == (release.info.run_id, release.info.slot_id):
            found.append(former)
        if len(found) == FORMER_RELEASES:
            break
    return found
