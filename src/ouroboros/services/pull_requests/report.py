"""Report: tell a git host how the preview of one pull request stands.

Driven by the events of the control plane, and apart from what it tells of: a git host that is slow,
down or says no delays its own reports and nothing else. What was sent is kept, so that nothing is
sent twice, and a comment that was written before a crash is found again by its first line.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ouroboros.adapters.control.publishes import PublishStore
from ouroboros.adapters.control.pull_requests import PullRequestStore
from ouroboros.adapters.control.runs import RunReader
from ouroboros.adapters.control.slots import SlotReader
from ouroboros.domain.errors import Failed, PreviewError
from ouroboros.domain.git_host import GitHostRefused, Repository
from ouroboros.domain.pull_request import (
    PullRequest,
    Report,
    ReportState,
    count_changes,
    describe,
)
from ouroboros.domain.slot import SlotPool
from ouroboros.plans import git_host_requests as requests
from ouroboros.plans.reports import comment_of, marker_of, status_of
from ouroboros.ports import GitHostApi
from ouroboros.services.databases import SlotDatabases

_GONE = (404, 410)
_MOST_PAGES = 20
_LOOK_S = {ReportState.BUILDING: 30.0, ReportState.WAITING: 2.0}
"""How often to look without an event: not every end of a publish is one, nor is it one of this run
when another one leaves the queue before it."""


@dataclass(frozen=True, slots=True)
class Reporter:
    """The use case for the repositories of one git host, with what it needs."""

    repositories: tuple[Repository, ...]
    store: PullRequestStore
    pool: SlotPool
    runs: RunReader
    slots: SlotReader
    publishes: PublishStore
    databases: SlotDatabases
    dashboard_url: str

    def report_one(self, api: GitHostApi) -> bool:
        """Tell of one pull request, if there is anything to tell; whether there was one to look at.

        A failure is recorded and tried again later.
        """
        request = self.store.take_to_report([each.key for each in self.repositories])
        if request is None:
            return False
        repository = next(each for each in self.repositories if each.key == request.key)
        try:
            report = self._look(request)
            self._tell(api, repository, request, report)
        except PreviewError as error:
            wait_s = error.wait_s if isinstance(error, GitHostRefused) else 0.0
            self.store.note_report_failed(request, error, wait_s)
            return True
        self.store.note_reported(request, _look_again_s(report))
        if report.state is ReportState.READY and report.counts is None:
            self._count(request, report)
        return True

    def _look(self, request: PullRequest) -> Report:
        run = self.runs.get(request.run_id)
        slot = self.slots.get(self.pool.parse(run["slot_id"])) if run["slot_id"] else None
        newest = self.publishes.list(run_id=request.run_id, limit=20)
        of_head = (each for each in newest if request.head_sha in (each["ref"], each["commit_sha"]))
        return describe(request, run, slot, next(of_head, None))

    def _tell(
        self, api: GitHostApi, repository: Repository, request: PullRequest, report: Report
    ) -> None:
        """Send the status and the comment, each only if it differs from what was sent last."""
        if request.is_open:
            status = status_of(report, self.dashboard_url)
            known = requests.sent_status(repository, request.head_sha, status)
            if known != request.sent_status:
                api.send(repository, requests.set_status(repository, request.head_sha, status))
                self.store.note_status(request, known)
        marker = marker_of(request.run_id, repository.webhook_secret)
        text = comment_of(report, marker, self.dashboard_url)
        if text != request.sent_comment:
            comment = self._write(api, repository, request, text)
            self.store.note_comment(request, comment, text)

    def _write(
        self, api: GitHostApi, repository: Repository, request: PullRequest, text: str
    ) -> str:
        """Change the one comment in place; write it when there is none. Returns its id."""
        number = request.number
        known = request.comment_id or self._find(api, repository, request)
        if known is not None:
            try:
                api.send(repository, requests.edit_comment(repository, number, known, text))
                return known
            except GitHostRefused as refused:
                if refused.status not in _GONE:  # somebody has deleted it
                    raise
        made = api.send(repository, requests.create_comment(repository, number, text))
        return _id_of(made)

    @staticmethod
    def _find(api: GitHostApi, repository: Repository, request: PullRequest) -> str | None:
        """The comment that was written by a worker which died before it could note that."""
        marker = marker_of(request.run_id, repository.webhook_secret)
        for page in range(1, _MOST_PAGES + 1):
            asked = requests.list_comments(repository, request.number, page)
            found: list[Any] = api.send(repository, asked) if asked is not None else []
            for comment in found:
                if isinstance(comment, dict) and str(comment.get("body")).startswith(marker):
                    return _id_of(comment)
            if len(found) < requests.PER_PAGE:
                break
        return None

    def _count(self, request: PullRequest, report: Report) -> None:
        """Count what the publish changed, after its end was told: large data takes its time."""
        run = self.runs.get(request.run_id)
        if run["slot_id"] is None or report.publish_id is None:
            return
        try:
            found = self.databases.diff(self.pool.parse(run["slot_id"]), sample_size=0)
            counts = count_changes(report.publish_id, found)
        except PreviewError as error:
            counts = {"publish_id": report.publish_id, "error": error.code}
        self.store.note_counts(request, counts)


def _id_of(comment: Any) -> str:
    number = comment.get("id") if isinstance(comment, dict) else None
    if not isinstance(number, int):
        raise Failed(
            "git_host_answered_nonsense",
            "the git host answered with a comment that has no number",
            "is api_url in git-hosts.toml the root of its API?",
        )
    return str(number)


def _look_again_s(report: Report) -> float | None:
    if report.state in _LOOK_S:
        return _LOOK_S[report.state]
    if report.expires_at is None:
        return None
    return max(1.0, (report.expires_at - datetime.now(UTC)).total_seconds() + 1.0)
