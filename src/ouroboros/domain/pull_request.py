"""Pull requests: what is wanted for one, and what its git host is told of it.

Pure, so that every state a reader of the comment can meet is decided in one place.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request as the control plane knows it; one row."""

    run_id: str
    git_host: str
    repository: str
    number: int
    is_open: bool
    head_sha: str
    branch: str
    from_fork: bool
    approved_sha: str | None
    asked_sha: str | None
    """The commit for which its run has entered the queue."""
    done_sha: str | None
    """The commit for which nothing more is to be done: its publish is queued, or it cannot be."""
    problem: Mapping[str, Any] | None
    """Why the commit cannot be published: an error's document."""
    comment_id: str | None
    sent_comment: str | None
    sent_status: str | None
    """What was sent last, as texts to compare with."""
    counts: Mapping[str, Any] | None
    """What the publish changed in the database, or why that is not known; with `publish_id`."""
    last_event: int
    """The number of the newest event of its run."""
    report_attempts: int

    @property
    def waits_for_approval(self) -> bool:
        """Whether an operator must look at its commit first."""
        return self.from_fork and self.approved_sha != self.head_sha

    @property
    def key(self) -> str:
        """As `Repository.key`."""
        return f"{self.git_host} {self.repository}"


class ReportState(StrEnum):
    """What a pull request's preview is, in one word for the git host."""

    WAITS_FOR_APPROVAL = "waits for approval"
    WAITING = "waiting for a slot"
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"
    STOPPED = "stopped"
    EXPIRED = "expired"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Report:
    """What a pull request's git host is told. Nothing in it was written by a branch."""

    run_id: str
    state: ReportState
    commit_sha: str
    url: str | None = None
    """Where the preview is served, also that of an older commit."""
    served_commit: str | None = None
    failed_in: str | None = None
    """The step that failed, or the code of what kept the commit from being published."""
    publish_id: str | None = None
    fingerprint: str | None = None
    source: str | None = None
    """`seed v1`, `snapshot checkout`."""
    counts: Mapping[str, Any] | None = None
    position: int | None = None
    expires_at: datetime | None = None


def describe(
    request: PullRequest,
    run: Mapping[str, Any],
    slot: Mapping[str, Any] | None,
    publish: Mapping[str, Any] | None,
) -> Report:
    """What is to be told of a pull request.

    `run` is its run's row, `slot` the document of the slot that it holds, `publish` the newest
    publish of its head commit.
    """
    served = slot if slot is not None and slot["publish_id"] else None
    publish_id = str(publish["publish_id"]) if publish else None
    state = _state(request, run, slot, publish)
    return Report(
        request.run_id,
        state,
        request.head_sha,
        url=served["url"] if served else None,
        served_commit=served["commit_sha"] if served else None,
        failed_in=_failed_in(request, publish) if state is ReportState.FAILED else None,
        publish_id=publish_id,
        fingerprint=slot["database_fingerprint"] if slot else None,
        source=_source(slot) if slot else None,
        counts=_counts(request, publish_id) if state is ReportState.READY else None,
        position=run["position"] if state is ReportState.WAITING else None,
        expires_at=slot["expires_at"] if slot else None,
    )


def _state(
    request: PullRequest,
    run: Mapping[str, Any],
    slot: Mapping[str, Any] | None,
    publish: Mapping[str, Any] | None,
) -> ReportState:
    if not request.is_open:
        return ReportState.RELEASED
    if request.waits_for_approval:
        return ReportState.WAITS_FOR_APPROVAL
    if request.done_sha != request.head_sha:
        waits = run["state"] == "waiting" and run["position"]
        return ReportState.WAITING if waits else ReportState.BUILDING
    if request.problem is not None:
        return ReportState.FAILED
    word = publish["state"] if publish else "cancelled"
    building = ReportState.STOPPED if slot is None else ReportState.BUILDING
    ready = ReportState.EXPIRED if slot is None else ReportState.READY
    states = {"queued": building, "running": building, "ready": ready,
              "failed": ReportState.FAILED}  # fmt: skip
    return states.get(word, ReportState.STOPPED)


def _failed_in(request: PullRequest, publish: Mapping[str, Any] | None) -> str | None:
    if request.problem is not None:
        return str(request.problem.get("error"))
    return f"step {publish['failed_step']}" if publish and publish["failed_step"] else None


def _counts(request: PullRequest, publish_id: str | None) -> Mapping[str, Any] | None:
    counts = request.counts
    return counts if counts is not None and counts.get("publish_id") == publish_id else None


def _source(slot: Mapping[str, Any]) -> str | None:
    for kind in ("snapshot", "seed"):
        if slot[f"{kind}_version"]:
            return f"{kind} {slot[f'{kind}_version']}"
    return None


def count_changes(publish_id: str, difference: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a database's difference: rows over all tables, and objects of the schema."""
    tables = difference["tables"].values()
    return {
        "publish_id": publish_id,
        "tables": len(difference["tables"]),
        **{kind: sum(table[kind] for table in tables) for kind in ("added", "changed", "removed")},
        "schema": sum(len(items) for items in difference["schema"].values()),
    }
