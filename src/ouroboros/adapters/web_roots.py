"""Web roots: what a slot's surface serves, switched by one atomic rename.

The surface of a slot reads `web/<slot>/current` (a link to the live release) and
`web/<slot>/state.json` (what to tell a visitor while there is none). Both are replaced by
rename(2), so a reader sees the old or the new one and never something between.

Each change carries the fence of the lease it is made under and is refused below the highest that
the web root has seen. PostgreSQL's answer alone would not do: a process that was frozen between
that answer and the rename wakes up with its row lock long gone. Here the comparison and the
rename happen under one flock, which a frozen process keeps.
"""

import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ouroboros.domain.errors import Refused
from ouroboros.domain.failpoint import failpoint
from ouroboros.domain.slot import Slot

_BUSY_AFTER_S = 5.0
_POLL_S = 0.005
_DIGITS = 20
_OF_THE_DATA = ("database_fingerprint",)


class WebRoots:
    """The directories that the surfaces of an installation read."""

    def __init__(self, state_dir: Path) -> None:
        self._web = state_dir / "web"

    def directory(self, slot: Slot) -> Path:
        """The directory that the web root's `live` link leads to."""
        return self._web / slot.id

    def live_release(self, slot: Slot) -> Path | None:
        """The release that is served now."""
        link = self.directory(slot) / "current"
        return link.resolve() if link.is_dir() else None

    def switch(self, slot: Slot, release: Path, fence: int) -> None:
        """Serve another release from the next request on.

        Raises `stale_fence`, `web_root_busy`, as every change here does.
        """
        with self._held(slot, fence) as directory:
            fresh = directory / f".current.{uuid.uuid4().hex}"
            fresh.symlink_to(os.path.relpath(release, directory))
            fresh.replace(directory / "current")

    def clear(self, slot: Slot, fence: int) -> None:
        """Serve no release; the state page or the placeholder is shown instead."""
        with self._held(slot, fence) as directory:
            (directory / "current").unlink(missing_ok=True)

    def tell(self, slot: Slot, fence: int, state: str, **facts: Any) -> None:
        """Say what a visitor without a release to look at is to be told."""
        with self._held(slot, fence) as directory:
            known = _read(directory / "state.json")
            data = {key: known[key] for key in _OF_THE_DATA if key in known}
            document = {"state": state, "slot_id": slot.id, **data, **facts}
            _replace(directory / "state.json", document)

    def tell_data(self, slot: Slot, fence: int, fingerprint: str) -> None:
        """Say to which state the slot's database was reset; every answer of the slot says so."""
        with self._held(slot, fence) as directory:
            known = {"state": "free", "slot_id": slot.id, **_read(directory / "state.json")}
            _replace(directory / "state.json", {**known, "database_fingerprint": fingerprint})

    def hold(self, slot: Slot, fence: int, until: float) -> None:
        """Let the surface hold back requests for the backend until then (epoch seconds)."""
        with self._held(slot, fence) as directory:
            fresh = directory / f".hold.{uuid.uuid4().hex}"
            fresh.write_text(f"{until:.3f}", encoding="ascii")
            fresh.replace(directory / "hold")

    def let_go(self, slot: Slot, fence: int) -> None:
        """Let the requests that were held back go on."""
        with self._held(slot, fence) as directory:
            (directory / "hold").unlink(missing_ok=True)

    def highest(self, slot: Slot) -> int:
        """The highest fence that the slot's web root has seen; 0 before the first."""
        try:
            return int((self._web / f"{slot.id}.fence").read_bytes()[:_DIGITS] or b"0")
        except FileNotFoundError:
            return 0

    def known(self) -> list[str]:
        """The ids of the slots that a fence is kept of."""
        return [path.stem for path in self._web.glob("*.fence")]

    def raise_fence(self, slot: Slot, fence: int) -> None:
        """Refuse everything below a fence from now on; there is nothing to refuse before the first.

        Raises `stale_fence`, `web_root_busy`.
        """
        if (self._web / f"{slot.id}.fence").exists():
            with self._held(slot, fence):
                pass

    @contextmanager
    def _held(self, slot: Slot, fence: int) -> Iterator[Path]:
        """The slot's directory, which only this process changes during the block.

        The highest fence lies beside the directory, so that a change of it wakes no surface.
        """
        directory = self._made(slot)
        number = os.open(self._web / f"{slot.id}.fence", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            _lock(number, slot)
            highest = int(os.pread(number, _DIGITS, 0) or b"0")
            if fence < highest:
                raise Refused(
                    "stale_fence",
                    f"fence {fence} of {slot.id} is old, its web root has seen {highest}",
                    "the lease was lost: allocate a slot again",
                    {"slot_id": slot.id, "fence": fence, "highest_fence": highest},
                )
            if fence > highest:
                os.pwrite(number, f"{fence:0{_DIGITS}d}".encode(), 0)
            failpoint("web_root.fence_compared")
            yield directory
        finally:
            os.close(number)

    def _made(self, slot: Slot) -> Path:
        directory = self.directory(slot)
        directory.mkdir(parents=True, exist_ok=True)
        return directory


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _replace(path: Path, document: Mapping[str, Any]) -> None:
    fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    fresh.write_text(json.dumps(document, default=str), encoding="utf-8")
    fresh.replace(path)


def _lock(number: int, slot: Slot) -> None:
    """Take the flock; whoever holds it does so for one rename, unless it was frozen."""
    deadline = time.monotonic() + _BUSY_AFTER_S
    while True:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Refused(
                    "web_root_busy",
                    f"a process has held the web root of {slot.id} for {_BUSY_AFTER_S:.0f} s",
                    "it was stopped: fuser shows which; continue it, or kill it",
                    {"slot_id": slot.id},
                ) from None
            time.sleep(_POLL_S)
        else:
            return
