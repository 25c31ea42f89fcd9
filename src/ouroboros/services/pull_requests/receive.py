"""Receive: check a webhook, and keep what it says of a pull request.

Nothing else happens here, since a git host waits for the answer: the worker does what follows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ouroboros.adapters.control.audit import AuditLog, Deed
from ouroboros.adapters.control.pull_requests import PullRequestStore
from ouroboros.domain.git_host import Forks, GitHost, Repository, find_repository
from ouroboros.domain.webhook import (
    name_in,
    read_change,
    read_delivery,
    read_document,
    require_proof,
)


@dataclass(frozen=True, slots=True)
class Receiver:
    """The use case with what it needs."""

    repositories: tuple[Repository, ...]
    store: PullRequestStore
    audit: AuditLog

    def receive(
        self, git_host: GitHost, headers: Mapping[str, str], body: bytes
    ) -> dict[str, Any] | None:
        """Take in one webhook; None for an event that is not used.

        Raises `invalid_delivery`, `invalid_payload`, `signature_invalid`, `delivery_replayed`.
        """
        delivery = read_delivery(git_host, headers, body)
        document = read_document(body)
        repository = find_repository(self.repositories, git_host, name_in(git_host, document))
        require_proof(delivery, repository)
        if repository is None:
            raise AssertionError("a proof needs a repository")
        change = read_change(delivery, document)
        if change is None or (change.from_fork and repository.forks is Forks.IGNORE):
            return None
        run_id, follows = self.store.receive(repository, change, delivery)
        known = {"number": change.number, "commit_sha": change.head_sha}
        deed = Deed(f"webhook {repository.key}", f"POST /api/webhooks/{git_host}", run_id=run_id)
        deed.request = {**known, "delivery_id": delivery.delivery_id, "follows": follows}
        deed.status = 202
        self.audit.append(deed)
        return {"run_id": run_id, "repository": repository.name, **known, "follows": follows}
