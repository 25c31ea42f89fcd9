"""Mirrors of repositories: tidied up when nobody waits for it, removed when nobody needs them.

No git of a publish tidies up by itself (`gc.auto=0`), so that no publish waits for it.
"""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import structlog

from ouroboros.adapters.file_lock import exclusive_file
from ouroboros.plans import git
from ouroboros.plans.environment import base_environment
from ouroboros.plans.layout import Layout
from ouroboros.ports import CommandRunner
from ouroboros.services.publish.removal import remove_or_tell

_DAY_S = 86400
_LEFTOVERS = (
    "*.lock", "refs/**/*.lock", "worktrees/*/locked", "objects/pack/tmp_*", "objects/pack/.tmp-*",
)  # fmt: skip
_log = structlog.get_logger("mirrors")


class _InUseError(Exception):
    """A publish is at work in the mirror."""


@dataclass(frozen=True, slots=True)
class Mirrors:
    """The mirrors of this host; one that a publish is at work in is left alone."""

    layout: Layout
    runner: CommandRunner
    tools_path: str
    keep_days: int

    def collect(self) -> list[str]:
        """Tidy up the mirrors; returns those that were removed. Repeatable."""
        removed = []
        for mirror in sorted(self.layout.repositories.glob("*.git")):
            with suppress(_InUseError), exclusive_file(mirror.with_suffix(".lock"), _do_not_wait):
                if self._is_needed(mirror):
                    self._tidy(mirror)
                else:
                    removed += [mirror.name] if remove_or_tell(mirror) else []
        for half_removed in self.layout.repositories.glob(".gone-*"):
            remove_or_tell(half_removed)
        return removed

    def _is_needed(self, mirror: Path) -> bool:
        """Whether a release was laid out from it, or something published from it lately."""
        used = mirror.with_suffix(".config")  # each publish writes it
        used_at = (used if used.exists() else mirror).stat().st_mtime
        return time.time() - used_at < self.keep_days * _DAY_S or _has_release(mirror)

    def _tidy(self, mirror: Path) -> None:
        remove_leftovers(mirror)
        config = mirror.with_suffix(".config")
        env = base_environment(self.tools_path, self.layout.repositories)
        tidied = self.runner.run(git.tidy(mirror, git.environment(env, config)))
        if not tidied.succeeded:
            _log.error("not tidied", mirror=mirror.name, output=tidied.output[-1000:])


def remove_leftovers(mirror: Path) -> None:
    """Remove what a git that was killed left: its locks would fail every later one.

    Whoever holds the mirror's own lock is the only one at work there, so nobody needs them.
    """
    for pattern in _LEFTOVERS:
        for left in mirror.glob(pattern):
            left.unlink(missing_ok=True)


def _do_not_wait() -> NoReturn:
    raise _InUseError


def _has_release(mirror: Path) -> bool:
    """Whether the directory of one of its worktrees is there (gitrepository-layout(5))."""
    for known in mirror.glob("worktrees/*/gitdir"):
        with suppress(OSError):
            if Path(known.read_text(encoding="utf-8").strip()).exists():
                return True
    return False
