"""Requests to the APIs of git hosts, as values: a commit's status, and one comment.

The published shapes:

- GitHub REST API 2022-11-28: "Create a commit status", "List / Create / Update an issue comment"
- Gitea and Forgejo API v1: `repoCreateStatus`, `issueGetComments`, `issueCreateComment`,
  `issueEditComment`
- GitLab API v4: "Set the pipeline status of a commit", "List / Create / Modify merge request note"
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never
from urllib.parse import quote

from ouroboros.domain.git_host import GitHost, Repository
from ouroboros.plans.reports import CONTEXT, Status

PER_PAGE = 100
"""How many comments a page of the list holds."""

_GITHUB_STATES = {"running": "pending"}
_GITLAB_STATES = {"failure": "failed", "error": "canceled"}


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request. `path` begins after the API's root; the token is added when it is sent."""

    method: str
    path: str
    document: Mapping[str, Any] | None = None


def set_status(repository: Repository, commit: str, status: Status) -> ApiRequest:
    """Set the status of a commit."""
    document = {"target_url": status.target_url, "description": status.description}
    match repository.git_host:
        case GitHost.GITHUB | GitHost.GITEA:
            state = _GITHUB_STATES.get(status.state, status.state)
            document |= {"state": state, "context": CONTEXT}
            return ApiRequest("POST", f"{_root(repository)}/statuses/{commit}", document)
        case GitHost.GITLAB:
            state = _GITLAB_STATES.get(status.state, status.state)
            document |= {"state": state, "name": CONTEXT}
            return ApiRequest("POST", f"{_root(repository)}/statuses/{commit}", document)
        case _:
            assert_never(repository.git_host)


def sent_status(repository: Repository, commit: str, status: Status) -> str:
    """What is compared before a status is sent again.

    GitLab refuses the state that a status has already, whatever else changed.
    """
    parts = [commit, status.state]
    if repository.git_host is not GitHost.GITLAB:
        parts += [status.description, status.target_url]
    return "\n".join(parts)


def list_comments(repository: Repository, number: int, page: int) -> ApiRequest | None:
    """One page of a pull request's comments, from 1 on; None when there can be no such page.

    Gitea answers with all of them at once.
    """
    path = _comments(repository, number)
    if repository.git_host is GitHost.GITEA:
        return ApiRequest("GET", path) if page == 1 else None
    return ApiRequest("GET", f"{path}?per_page={PER_PAGE}&page={page}")


def create_comment(repository: Repository, number: int, body: str) -> ApiRequest:
    """Write a comment."""
    return ApiRequest("POST", _comments(repository, number), {"body": body})


def edit_comment(repository: Repository, number: int, comment: str, body: str) -> ApiRequest:
    """Change a comment in place."""
    known = quote(comment, safe="")
    if repository.git_host is GitHost.GITLAB:
        return ApiRequest("PUT", f"{_comments(repository, number)}/{known}", {"body": body})
    return ApiRequest("PATCH", f"{_root(repository)}/issues/comments/{known}", {"body": body})


def headers_for(repository: Repository, token: str) -> dict[str, str]:
    """The header fields of every request; the token is in one of them."""
    common = {"User-Agent": "ouroboros", "Accept": "application/json"}
    match repository.git_host:
        case GitHost.GITHUB:
            return common | {
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {token}",
                "X-GitHub-Api-Version": "2022-11-28",
            }
        case GitHost.GITEA:
            return common | {"Authorization": f"token {token}"}
        case GitHost.GITLAB:
            return common | {"PRIVATE-TOKEN": token}
        case _:
            assert_never(repository.git_host)


def _comments(repository: Repository, number: int) -> str:
    kind = "merge_requests" if repository.git_host is GitHost.GITLAB else "issues"
    what = "notes" if repository.git_host is GitHost.GITLAB else "comments"
    return f"{_root(repository)}/{kind}/{number}/{what}"


def _root(repository: Repository) -> str:
    if repository.git_host is GitHost.GITLAB:
        return f"/projects/{quote(repository.name, safe='')}"
    return f"/repos/{quote(repository.name)}"
