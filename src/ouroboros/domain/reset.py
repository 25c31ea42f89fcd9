"""Resets: to which known state a slot's database is brought, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ouroboros.domain.errors import BadInput
from ouroboros.domain.identifiers import parse_version


class Strategy(StrEnum):
    """Where the state of a reset comes from."""

    SEED = "seed"
    SNAPSHOT = "snapshot"


class ResetStatus(StrEnum):
    """The life of a row in `preview_db_resets`."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class ResetPath(StrEnum):
    """How the state came into place: a ready standby, a fresh clone, or a template built first."""

    SWAP = "swap"
    CLONE = "clone"
    BUILD = "build"


class PoolOrder(StrEnum):
    """Whose standby is made first when several are missing."""

    FREE_FIRST = "free-first"
    """Free slots are the next to be reset, by whoever allocates them."""
    LEASED_FIRST = "leased-first"
    """For runs that reset their slot again and again while they hold it."""
    NUMBER = "number"
    """By the number of the slot."""


@dataclass(frozen=True, slots=True)
class Source:
    """The state a reset aims at: a seed version, a snapshot version, or (neither) empty."""

    strategy: Strategy
    version: str | None

    @property
    def seed_version(self) -> str | None:
        """The version when the strategy is seed."""
        return self.version if self.strategy is Strategy.SEED else None

    @property
    def snapshot_version(self) -> str | None:
        """The version when the strategy is snapshot."""
        return self.version if self.strategy is Strategy.SNAPSHOT else None


EMPTY = Source(Strategy.SEED, None)


@dataclass(frozen=True, slots=True)
class ResetReport:
    """What a completed reset did. Durations are in milliseconds."""

    reset_id: int
    db_name: str
    source: Source
    path: ResetPath
    fingerprint: str
    duration_ms: float
    details: Mapping[str, Any] = field(default_factory=dict)


def choose_source(strategy: str, seed_version: str | None, snapshot_version: str | None) -> Source:
    """Read a strategy with the version that belongs to it.

    Raises `invalid_strategy`, `invalid_version`, `seed_version_required` or
    `snapshot_version_required`.
    """
    try:
        chosen = Strategy(strategy)
    except ValueError:
        raise BadInput(
            "invalid_strategy", f"{strategy[:80]!r} is not a strategy", "use seed or snapshot"
        ) from None
    # The one that is not asked for must be one, too: a mistyped value is told, never ignored.
    given = [
        None if each is None else parse_version(each) for each in (seed_version, snapshot_version)
    ]
    version = given[0] if chosen is Strategy.SEED else given[1]
    if version is None:
        raise BadInput(
            f"{chosen}_version_required",
            f"the strategy {chosen} needs a version",
            f"add --{chosen}-version",
        )
    return Source(chosen, version)
