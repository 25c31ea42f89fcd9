"""Collecting: removes what nothing can need any more of releases, artifacts, caches and mirrors.

A slot keeps its last few releases for a rollback, and nothing of a run that is gone. What a
publish left to read is kept for a time, and up to a size; the caches of a slot's tools are
emptied when they have outgrown theirs, while nothing is built there.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ouroboros.adapters.build_caches import measure
from ouroboros.adapters.control.releases import ReleaseStore
from ouroboros.adapters.control.slots import SlotReader
from ouroboros.adapters.web_roots import WebRoots
from ouroboros.plans.layout import Layout
from ouroboros.ports import BackendRuntime
from ouroboros.services.publish.mirrors import Mirrors
from ouroboros.services.publish.removal import remove_or_tell
from ouroboros.settings import Settings

_DAY_S = 86400


@dataclass(frozen=True, slots=True)
class Collector:
    """The use case with what it needs."""

    releases: ReleaseStore
    slots: SlotReader
    backends: BackendRuntime
    layout: Layout
    settings: Settings
    web_roots: WebRoots
    mirrors: Mirrors

    def collect(self) -> dict[str, Any]:
        """All of it: what was removed of `releases`, `artifacts`, `cache_bytes` and `mirrors`.

        Repeatable.
        """
        return {
            "releases": self.collect_releases(),
            "artifacts": self.collect_artifacts(),
            "cache_bytes": self.empty_caches(),
            "mirrors": self.mirrors.collect(),
        }

    def collect_releases(self) -> list[str]:
        """Remove what is not needed; returns the publishes whose releases went."""
        removed = []
        for slot in self.settings.pool:
            directory = self.layout.releases(slot)
            found = sorted(directory.iterdir()) if directory.is_dir() else []
            # The directories are listed first: a publish that begins meanwhile is kept.
            kept = self.releases.kept(slot, self.settings.keep_releases) if found else set()
            served = self.web_roots.live_release(slot)
            for release in found:
                if (
                    release.name not in kept
                    and release.resolve() != served
                    and remove_or_tell(release)
                ):
                    removed.append(release.name)
        return removed

    def collect_artifacts(self) -> list[str]:
        """Remove artifacts that are too old, then the oldest until the rest is small enough.

        Those of a publish that is at work, or whose release is kept, stay whatever their age.
        """
        found = sorted(self._artifacts(), reverse=True)
        too_old = time.time() - self.settings.keep_artifacts_days * _DAY_S
        kept_bytes = 0
        removed = []
        for changed_at, size_bytes, directory in found:
            kept_bytes += size_bytes
            if changed_at < too_old or kept_bytes > self.settings.artifacts_limit_bytes:
                kept_bytes -= size_bytes
                removed.append(directory)
        names = [each.name for each in removed]
        # Forgotten first: what is recorded as there is there.
        self.releases.forget_artifacts(names)
        for directory in removed:
            remove_or_tell(directory)
        return names

    def _artifacts(self) -> Iterator[tuple[float, int, Path]]:
        """When each that nothing needs was written, its bytes, and its directory."""
        directory = self.layout.artifacts("any").parent
        found = sorted(directory.iterdir()) if directory.is_dir() else []
        kept = self._kept_anywhere() if found else set()
        for each in found:
            if each.name not in kept and each.is_dir() and not each.is_symlink():
                yield each.stat().st_mtime, measure(each), each

    def _kept_anywhere(self) -> set[str]:
        keep = self.settings.keep_releases
        return {name for slot in self.settings.pool for name in self.releases.kept(slot, keep)}

    def empty_caches(self) -> dict[str, int]:
        """Empty what outgrew its limit, where nothing is built; the bytes freed for each slot."""
        freed = {}
        for slot in self.settings.pool:
            if self.releases.is_publishing(slot):
                continue
            fence = self.slots.get(slot)["fence"]
            limit_bytes = self.settings.cache_limit_bytes
            freed_bytes = self.backends.trim_caches(slot, fence, limit_bytes)
            if freed_bytes:
                freed[slot.id] = freed_bytes
        return freed
