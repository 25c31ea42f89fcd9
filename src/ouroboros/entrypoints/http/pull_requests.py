"""Pull requests of git hosts: which there are, and approving those of forks."""

from typing import Any

from fastapi import APIRouter, Query
from pydantic import Field

from ouroboros.domain.identifiers import parse_run_id
from ouroboros.entrypoints.http.asked import Asked
from ouroboros.entrypoints.http.dependencies import At
from ouroboros.entrypoints.http.tokens import Asking

router = APIRouter(prefix="/api/pull-requests", tags=["pull requests"])


class ApproveRequest(Asked):
    """Names the very commit that was looked at."""

    commit_sha: str = Field(pattern="^[0-9a-f]{40}$")


@router.get("")
def list_pull_requests(
    at: At, is_open: bool | None = None, limit: int = Query(50, ge=1, le=500)
) -> dict[str, Any]:
    """The pull requests, open ones first, and the repositories that are followed."""
    return {
        "ok": True,
        "pull_requests": at.pull_requests.list(is_open=is_open, limit=limit),
        "repositories": [each.document() for each in at.repositories],
    }


@router.post("/{run_id}/approve")
def approve(at: At, by: Asking, run_id: str, asked: ApproveRequest) -> dict[str, Any]:
    """Let this commit of a fork be published; 409 `commit_moved` when it is not the head."""
    found = at.pull_requests.approve(parse_run_id(run_id), asked.commit_sha, by.name)
    return {
        "ok": True,
        "run_id": found.run_id,
        "repository": found.repository,
        "number": found.number,
        "commit_sha": asked.commit_sha,
        "approved": True,
    }
