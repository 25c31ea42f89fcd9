"""Follow: bring one pull request's run to what is wanted of it.

An open one whose commit may be published leases a slot, or waits for one, and publishes that very
commit; a newer commit supersedes it. A closed one gives back what it holds. All of it may be begun
again by the next worker: each part is one of the existing use cases, which may be repeated.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from ouroboros.adapters.control.leases import LeaseStore
from ouroboros.adapters.control.publishes import PublishStore
from ouroboros.adapters.control.pull_requests import PullRequestStore
from ouroboros.adapters.control.runs import RunReader
from ouroboros.domain.errors import PreviewError, Refused, TimedOut, Unhealthy, WaitingForSlot
from ouroboros.domain.git_host import Repository
from ouroboros.domain.pull_request import PullRequest
from ouroboros.domain.slot import SlotPool
from ouroboros.services.leasing.allocate import Allocator
from ouroboros.services.leasing.keep import Keeper

_PASSING = ("lease_lost", "slot_busy", "no_lease")
"""What is over when it is tried again; so is whatever does not answer."""


@dataclass(frozen=True, slots=True)
class Follower:
    """The use case with what it needs."""

    repositories: tuple[Repository, ...]
    store: PullRequestStore
    pool: SlotPool
    allocator: Allocator
    keeper: Keeper
    publishes: PublishStore
    leases: LeaseStore
    runs: RunReader

    @property
    def keys(self) -> Sequence[str]:
        """The repositories whose pull requests are followed."""
        return [each.key for each in self.repositories]

    def follow_one(self) -> bool:
        """Do what is wanted of one pull request; whether there was one."""
        request = self.store.take_to_follow(self.keys)
        if request is None:
            return False
        repository = next(each for each in self.repositories if each.key == request.key)
        try:
            if request.is_open:
                self._publish(request, repository)
            else:
                self._release(request)
        except PreviewError as error:
            passing = isinstance(error, Unhealthy | TimedOut) or error.code in _PASSING
            if passing or not request.is_open:
                self.store.note_retry(request)
                raise
            self.store.note_done(request, error)
        return True

    def _publish(self, request: PullRequest, repository: Repository) -> None:
        """Lease a slot and publish the head commit, named by its id; or go on waiting."""
        try:
            self.allocator.allocate(
                request.run_id,
                request.branch,
                repository.source,
                priority=repository.priority,
                # Whoever was taken out of the queue by hand does not enter it again by himself.
                enters_queue=request.asked_sha != request.head_sha,
            )
        except WaitingForSlot:
            self.store.note_waits(request)
            return
        self.publishes.queue(request.run_id, repository.clone_url, request.head_sha)
        self.store.note_done(request)

    def _release(self, request: PullRequest) -> None:
        """Give back the slot or the place in the queue, whichever the run has."""
        self.leases.leave_queue(request.run_id)
        slot_id = self.runs.get(request.run_id)["slot_id"]
        if slot_id is not None:
            with suppress(Refused):  # its lease ended by itself meanwhile
                self.keeper.release(self.pool.parse(slot_id), request.run_id)
        self.store.note_released(request)
