"""Publishes: the states of one, the order of its steps, and what one asks for."""

from dataclasses import dataclass
from enum import StrEnum

from ouroboros.domain.slot import Slot

# Raised when the steps or their meaning change: a publish that an older version began is not
# continued by a newer one but begun again.
PIPELINE_VERSION = 2


class PublishState(StrEnum):
    """The life of a publish. `ready` is `preview_ready`: checked, and served."""

    QUEUED = "queued"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to the publish."""
        return self not in (PublishState.QUEUED, PublishState.RUNNING)


class StepName(StrEnum):
    """The steps of a publish, in their order."""

    SOURCE = "source"
    FRONTEND = "frontend"
    BACKEND = "backend"
    MIGRATE = "migrate"
    RESTART = "restart"
    READINESS = "readiness"
    SMOKE = "smoke"
    SWITCH = "switch"


@dataclass(frozen=True, slots=True)
class Publish:
    """A publish as the worker was handed it, bound to the lease it was asked under."""

    publish_id: str
    seq: int
    run_id: str
    slot: Slot
    fence: int
    repo: str
    ref: str
    commit_sha: str | None
    """Filled by the source step: the full id of the commit that is published."""
    rollback_to: str | None = None
    """The publish whose release is to be served again; None for one that builds."""
    with_database: bool = False
    """Whether a rollback also goes back to the database's state of that release."""

    prebuilt: str | None = None
    """A directory on this host with a built front end (`web/`) or backend (`backend/`)."""

    @property
    def release_id(self) -> str:
        """The publish that made the release which is served when this one is done."""
        return self.rollback_to or self.publish_id
