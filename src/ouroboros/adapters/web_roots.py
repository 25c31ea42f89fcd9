"""Web roots: what a slot's surface serves, switched by one atomic rename.

The surface of a slot reads `web/<slot>/current` (a link to the live release) and
`web/<slot>/state.json` (what to tell a visitor while there is none). Both are replaced by
rename(2), so a reader sees the old or the new one and never something between.
"""

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ouroboros.domain.slot import Slot


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

    def switch(self, slot: Slot, release: Path) -> None:
        """Serve another release from the next request on."""
        directory = self._made(slot)
        fresh = directory / f".current.{uuid.uuid4().hex}"
        fresh.symlink_to(os.path.relpath(release, directory))
        fresh.replace(directory / "current")

    def clear(self, slot: Slot) -> None:
        """Serve no release; the state page or the placeholder is shown instead."""
        (self.directory(slot) / "current").unlink(missing_ok=True)

    def tell(self, slot: Slot, state: str, **facts: Any) -> None:
        """Say what a visitor without a release to look at is to be told."""
        self._replace(slot, "state.json", {"state": state, "slot_id": slot.id, **facts})

    def _replace(self, slot: Slot, name: str, document: Mapping[str, Any]) -> None:
        directory = self._made(slot)
        fresh = directory / f".{name}.{uuid.uuid4().hex}"
        fresh.write_text(json.dumps(document, default=str), encoding="utf-8")
        fresh.replace(directory / name)

    def _made(self, slot: Slot) -> Path:
        directory = self.directory(slot)
        directory.mkdir(parents=True, exist_ok=True)
        return directory
