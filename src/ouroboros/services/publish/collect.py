"""Collecting releases: removes the directories of releases that nothing can need any more.

A slot keeps its last few releases for a rollback, and nothing of a run that is gone.
"""

from dataclasses import dataclass

from ouroboros.adapters.control.releases import ReleaseStore
from ouroboros.adapters.release_files import remove_tree
from ouroboros.adapters.web_roots import WebRoots
from ouroboros.plans.layout import Layout
from ouroboros.settings import Settings


@dataclass(frozen=True, slots=True)
class Collector:
    """The use case with what it needs."""

    releases: ReleaseStore
    layout: Layout
    settings: Settings
    web_roots: WebRoots

    def collect(self) -> list[str]:
        """Remove what is not needed; returns the publishes whose releases went. Repeatable."""
        removed = []
        for slot in self.settings.pool:
            directory = self.layout.releases(slot)
            found = sorted(directory.iterdir()) if directory.is_dir() else []
            # The directories are listed first: a publish that begins meanwhile is kept.
            kept = self.releases.kept(slot, self.settings.keep_releases) if found else set()
            served = self.web_roots.live_release(slot)
            for release in found:
                if release.name not in kept and release.resolve() != served:
                    remove_tree(release)
                    removed.append(release.name)
        return removed
