"""What a git host is told of a preview: one comment, and a status of the commit.

A comment is Markdown that three git hosts show alike. Nothing in it comes from a branch, so
nothing in it can be a link or a mention of somebody else's.
"""

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ouroboros.domain.pull_request import Report, ReportState

CONTEXT = "ouroboros/preview"
"""The name under which the status is shown; one for each commit."""

_PENDING = "pending"
_STATUS = {
    ReportState.WAITS_FOR_APPROVAL: (_PENDING, "An operator must approve this commit of a fork"),
    ReportState.WAITING: (_PENDING, "Waiting for a slot"),
    ReportState.BUILDING: ("running", "Building the preview"),
    ReportState.READY: ("success", "The preview is ready"),
    ReportState.FAILED: ("failure", "The preview failed"),
    ReportState.STOPPED: ("error", "The publish was stopped"),
    ReportState.EXPIRED: ("success", "The preview was ready; its lease has ended"),
    ReportState.RELEASED: ("success", "The preview was released"),
}


@dataclass(frozen=True, slots=True)
class Status:
    """The status of a commit. `state` is pending, running, success, failure or error."""

    state: str
    description: str
    target_url: str


def marker_of(run_id: str, secret: str) -> str:
    """The first line of the comment, which nobody sees, and by which it is found again.

    Who does not know the repository's secret cannot write it before we have.
    """
    proof = hmac.new(secret.encode(), f"comment {run_id}".encode(), "sha256").hexdigest()[:16]
    return f"<!-- ouroboros {run_id} {proof} -->"


def status_of(report: Report, dashboard_url: str) -> Status:
    """The status of the head commit; its link leads to the preview, or to the run's page."""
    state, text = _STATUS[report.state]
    if report.failed_in:
        text = f"{text}: {report.failed_in}"[:140]  # GitHub's limit
    ready = report.url is not None and report.state is ReportState.READY
    return Status(state, text, str(report.url) if ready else _page(report, dashboard_url))


def comment_of(report: Report, marker: str, dashboard_url: str) -> str:
    """The comment as a whole; it is edited in place whenever this text changes."""
    rows = {
        "URL": _url(report),
        "Commit": f"`{report.commit_sha}`",
        "State": report.state + (f" ({report.failed_in})" if report.failed_in else ""),
        "Database": _database(report),
        "Changed since the reset": _changes(report.counts),
        "Place in the queue": str(report.position or ""),
        "Lease": _lease(report.expires_at),
    }
    table = "".join(f"| {name} | {text} |\n" for name, text in rows.items() if text)
    return (
        f"{marker}\n**Preview: {report.state}**\n\n| | |\n|---|---|\n{table}\n"
        f"{_next(report)}[Run `{report.run_id}`]({_page(report, dashboard_url)})\n"
    )


def _url(report: Report) -> str:
    if report.url is None:
        return ""
    older = report.served_commit not in (None, report.commit_sha)
    return f"{report.url} (still `{str(report.served_commit)[:10]}`)" if older else report.url


def _database(report: Report) -> str:
    if report.fingerprint is None:
        return ""
    return f"`{report.fingerprint}`" + (f" ({report.source})" if report.source else "")


def _changes(counts: Any) -> str:
    if counts is None:
        return ""
    if "error" in counts:
        return f"not known ({counts['error']})"
    rows = ", ".join(f"{counts[kind]} {kind}" for kind in ("added", "changed", "removed"))
    return (
        f"rows of {_number(counts['tables'], 'table')}: {rows}; "
        f"{_number(counts['schema'], 'object')} of the schema"
    )


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _lease(expires_at: datetime | None) -> str:
    if expires_at is None:
        return ""
    return f"until {expires_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC, unless it is extended"


def _next(report: Report) -> str:
    match report.state:
        case ReportState.WAITS_FOR_APPROVAL:
            command = f"ouroboros hooks approve {report.run_id} --commit {report.commit_sha}"
            return f"An operator approves this commit with `{command}`.\n\n"
        case ReportState.EXPIRED | ReportState.STOPPED:
            return "A push, or closing and reopening, brings it back.\n\n"
        case _:
            return ""


def _page(report: Report, dashboard_url: str) -> str:
    return f"{dashboard_url}/runs/{report.run_id}"
