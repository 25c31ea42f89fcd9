"""Where an installation keeps its files: every directory below the state directory.

Named from slot numbers and publish numbers alone, so no branch, run or repository name can reach
a path.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ouroboros.domain.slot import Slot


@dataclass(frozen=True, slots=True)
class Layout:
    """The directories of one installation; it only names them."""

    state_dir: Path

    def releases(self, slot: Slot) -> Path:
        """All kept releases of a slot."""
        return self.state_dir / "releases" / slot.id

    def release(self, slot: Slot, publish_id: str) -> Path:
        """One release: `release.json`, `web/` (built files) and `src/` (the worktree)."""
        return self.releases(slot) / publish_id

    def cache(self, slot: Slot) -> Path:
        """Build caches that belong to one slot."""
        return self.state_dir / "cache" / slot.id

    def home(self, slot: Slot) -> Path:
        """The HOME of the slot's builds and backend."""
        return self.state_dir / "homes" / slot.id

    @property
    def visits(self) -> Path:
        """What a browser needs while it looks at pages; empty in between."""
        return self.state_dir / "visits"

    def artifacts(self, publish_id: str) -> Path:
        """What the steps of a publish left to read."""
        return self.state_dir / "artifacts" / publish_id

    @property
    def repositories(self) -> Path:
        """The mirrors, each with its lock and configuration."""
        return self.state_dir / "repositories"

    def mirror(self, repo: str) -> Path:
        """The bare mirror of a repository."""
        return self.repositories / f"{_digest(repo)}.git"

    def git_config(self, repo: str) -> Path:
        """The git configuration used for a repository in place of the user's."""
        return self.repositories / f"{_digest(repo)}.config"

    @property
    def tools(self) -> Path:
        """Links to the tools that builds may use."""
        return self.state_dir / "tools"

    def backend_log(self, slot: Slot) -> Path:
        """Output of the slot's backend."""
        return self.state_dir / "logs" / f"backend-{slot.alias}.log"


def _digest(repo: str) -> str:
    return hashlib.sha256(repo.encode()).hexdigest()[:16]
