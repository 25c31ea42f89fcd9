"""Pull requests in PostgreSQL: what webhooks said, who works on which, and what was told.

A row is taken by setting the time at which it may be taken again, so no two work on one at once,
and one whose taker died is not lost.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ouroboros.adapters.control import pull_request_sql as sql
from ouroboros.adapters.control.connection import ControlPool, control, transaction
from ouroboros.adapters.control.documents import jsonb
from ouroboros.adapters.control.events import record_event
from ouroboros.domain.errors import NotFound, PreviewError, Refused
from ouroboros.domain.git_host import Repository, run_id_of
from ouroboros.domain.pull_request import PullRequest
from ouroboros.domain.webhook import Change, Delivery

PULL_REQUESTS_CHANNEL = "ouroboros_pull_requests"


class PullRequestStore:
    """The pull requests of the configured repositories."""

    def __init__(self, pool: ControlPool) -> None:
        self._pool = pool

    def receive(
        self, repository: Repository, change: Change, delivery: Delivery
    ) -> tuple[str, str]:
        """Keep what a webhook said; returns the run's id and what follows of it.

        What follows is `publish`, `release`, `waits_for_approval` or, when something newer is
        known already, `outdated`. Raises `delivery_replayed` when the delivery, by its id or by
        its body, has come before.
        """
        run_id = run_id_of(repository, change.number)
        values: dict[str, Any] = {
            "run_id": run_id,
            "git_host": repository.git_host,
            "repository": repository.name,
            "priority": repository.priority,
            "delivery_id": delivery.delivery_id,
            "digest": delivery.digest,
            **{name: getattr(change, name) for name in Change.__slots__},
        }
        with transaction(self._pool) as db:
            db.execute(sql.FORGET_DELIVERIES)
            if db.execute(sql.KEEP_DELIVERY, values).fetchone() is None:
                raise Refused(
                    "delivery_replayed",
                    f"delivery {delivery.delivery_id} has been received before",
                    "what it says is known; a new push makes a new one",
                )
            db.execute(sql.KEEP_RUN, values)
            row = db.execute(sql.KEEP, values).fetchone()
            if row is None:
                return run_id, "outdated"
            follows = _follows(change, waits=bool(row["waits_for_approval"]))
            details = {"repository": repository.name, "number": change.number,
                       "commit": change.head_sha}  # fmt: skip
            record_event(db, f"pull_request.{follows}", run_id=run_id, details=details)
            self._notify(db, run_id)
        return run_id, follows

    def list(self, *, is_open: bool | None, limit: int) -> list[dict[str, Any]]:
        """The open ones first, then by their last change."""
        with control(self._pool) as db:
            return db.execute(sql.LIST, {"is_open": is_open, "limit": limit}).fetchall()

    def get(self, run_id: str) -> PullRequest:
        """The pull request of a run; raises `pull_request_not_found`."""
        with control(self._pool) as db:
            row = db.execute(sql.GET, {"run_id": run_id}).fetchone()
        if row is None:
            raise NotFound(
                "pull_request_not_found",
                f"run {run_id[:80]!r} is of no pull request",
                "ouroboros hooks list",
            )
        return PullRequest(**row)

    def approve(self, run_id: str, commit: str, by: str) -> PullRequest:
        """Let one commit of a fork be published; may be repeated.

        Raises `commit_moved` when it is not, or no longer, the head of an open pull request:
        whoever approves has looked at that very commit.
        """
        found = self.get(run_id)
        values = {"run_id": run_id, "head_sha": commit, "by": by}
        with transaction(self._pool) as db:
            if db.execute(sql.APPROVE, values).fetchone() is None:
                raise Refused(
                    "commit_moved",
                    f"{commit[:40]} is not the head of an open pull request; "
                    f"{found.head_sha} was seen last",
                    "look at the newest commit, then approve that one",
                    {"run_id": run_id, "head_sha": found.head_sha, "is_open": found.is_open},
                )
            details = {"commit": commit, "by": by}
            record_event(db, "pull_request.approved", run_id=run_id, details=details)
            self._notify(db, run_id)
        return self.get(run_id)

    def awaken(self) -> None:
        """Let every row be taken at once: for a worker that starts, since it is the only one."""
        with control(self._pool) as db:
            db.execute(sql.AWAKEN)

    def take_to_follow(self, keys: Sequence[str]) -> PullRequest | None:
        """One pull request for which something is to be done; None when there is none."""
        return self._take(sql.TAKE_TO_FOLLOW, keys)

    def note_waits(self, request: PullRequest) -> None:
        """Its run has entered the queue for this commit."""
        self._run(sql.WAITS, request, sha=request.head_sha)

    def note_done(self, request: PullRequest, problem: PreviewError | None = None) -> None:
        """Its publish is queued, or will never be, for the reason given."""
        document = problem.document() if problem is not None else None
        values = {"run_id": request.run_id, "sha": request.head_sha,
                  "problem": jsonb(document) if document else None}  # fmt: skip
        with transaction(self._pool) as db:
            db.execute(sql.DONE, values)
            if document is not None:
                details = {"commit": request.head_sha, "error": document["error"],
                           "message": document["message"]}  # fmt: skip
                record_event(db, "pull_request.failed", run_id=request.run_id, details=details)

    def note_released(self, request: PullRequest) -> None:
        """Nothing of a closed pull request is left; not if it was opened again meanwhile."""
        with transaction(self._pool) as db:
            if db.execute(sql.RELEASED, {"run_id": request.run_id}).fetchone():
                record_event(db, "pull_request.released", run_id=request.run_id)

    def note_retry(self, request: PullRequest) -> None:
        """It could not be done now; it may be taken again after a while, each time a longer one."""
        self._run(sql.RETRY, request)

    def take_to_report(self, keys: Sequence[str]) -> PullRequest | None:
        """One pull request whose git host may have to be told something."""
        return self._take(sql.TAKE_TO_REPORT, keys)

    def note_status(self, request: PullRequest, text: str) -> None:
        """The status was set."""
        self._run(sql.SENT_STATUS, request, text=text)

    def note_comment(self, request: PullRequest, comment_id: str, text: str) -> None:
        """The comment was written or changed."""
        self._run(sql.SENT_COMMENT, request, comment_id=comment_id, text=text)

    def note_reported(self, request: PullRequest, look_again_s: float | None) -> None:
        """All was told that was known when the row was taken.

        `look_again_s` is after how many seconds to look again without any event.
        """
        values = {"last_event": request.last_event, "look_again_s": look_again_s}
        self._run(sql.REPORTED, request, **values)

    def note_report_failed(
        self, request: PullRequest, error: PreviewError, wait_s: float = 0.0
    ) -> None:
        """The git host could not be told; it is tried again, each time after a longer while."""
        document = error.document()
        values = {"run_id": request.run_id, "wait_s": wait_s, "problem": jsonb(document)}
        with transaction(self._pool) as db:
            db.execute(sql.REPORT_FAILED, values)
            if request.report_attempts == 0:
                details = {"error": document["error"], "message": document["message"]}
                record_event(db, "report.failed", run_id=request.run_id, details=details)

    def note_counts(self, request: PullRequest, counts: Mapping[str, Any]) -> None:
        """What the publish changed in the database is known, and is to be told."""
        self._run(sql.COUNTED, request, counts=jsonb(counts))

    def _take(self, statement: str, keys: Sequence[str]) -> PullRequest | None:
        with transaction(self._pool) as db:
            row = db.execute(statement, {"keys": list(keys)}).fetchone()
        return PullRequest(**row) if row else None

    def _run(self, statement: str, request: PullRequest, **values: Any) -> None:
        with control(self._pool) as db:
            db.execute(statement, {"run_id": request.run_id, **values})

    @staticmethod
    def _notify(db: Any, run_id: str) -> None:
        db.execute(sql.NOTIFY, {"channel": PULL_REQUESTS_CHANNEL, "payload": run_id})


def _follows(change: Change, *, waits: bool) -> str:
    if not change.is_open:
        return "release"
    return "waits_for_approval" if waits else "publish"
