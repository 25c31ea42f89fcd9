"""Webhooks: who sent one, whether he knows the secret, and what it says of a pull request.

Apart from the route, because here is all that a stranger's bytes can say. A payload is believed
only after its signature was checked over the raw body; of the payload only the members that are
used are read, and each by its type. The shapes are the git hosts' own:

- GitHub: docs.github.com, "Webhook events and payloads" and "Validating webhook deliveries"
- Gitea and Forgejo: docs.gitea.com and forgejo.org, "Webhooks"
- GitLab: docs.gitlab.com, "Webhook events" and "Webhooks"
"""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, assert_never

from ouroboros.domain.errors import BadInput, SignInRequired
from ouroboros.domain.git_host import MOST_NUMBER, GitHost, Repository
from ouroboros.domain.identifiers import is_commit_id
from ouroboros.domain.strict_table import StrictTable

_LONGEST = 255
_NOBODYS_SECRET = "no repository has this secret"  # noqa: S105  compared with, and never equal

_OPENING = {"opened", "reopened", "synchronize", "synchronized"}


_HEADERS: dict[GitHost, tuple[tuple[str, ...], ...]] = {
    GitHost.GITHUB: (("x-github-event",), ("x-github-delivery",), ("x-hub-signature-256",)),
    GitHost.GITEA: (
        ("x-gitea-event", "x-forgejo-event"),
        ("x-gitea-delivery", "x-forgejo-delivery"),
        ("x-gitea-signature", "x-forgejo-signature"),
    ),
    GitHost.GITLAB: (
        ("x-gitlab-event",),
        ("idempotency-key", "x-gitlab-event-uuid"),
        ("x-gitlab-token",),
    ),
}
"""Where each git host writes the event, the delivery's id and the proof; the first counts."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One call of a webhook as it came. `delivery_id` is the git host's own name for it."""

    git_host: GitHost
    event: str
    delivery_id: str
    proof: str
    """What shows that the sender knows the secret: a signature, or at GitLab the secret."""
    body: bytes

    @property
    def digest(self) -> bytes:
        """Of the body. A delivery's id is not signed, so a replay may come with another one."""
        return sha256(self.body).digest()


@dataclass(frozen=True, slots=True)
class Change:
    """What a webhook says of a pull request."""

    number: int
    is_open: bool
    head_sha: str
    branch: str
    """As the author called it: a text to show, and no ref to fetch."""
    from_fork: bool
    url: str
    """The pull request's page; empty when it is no http(s) address."""
    changed_at: datetime
    """By the git host's clock. What is older than what is known came too late."""


def read_delivery(git_host: GitHost, headers: Mapping[str, str], body: bytes) -> Delivery:
    """Read the header fields (by lower-case names); raises `invalid_delivery`."""
    names = _HEADERS[git_host]
    event, delivery_id, proof = (
        next((headers[name] for name in each if headers.get(name)), "") for each in names
    )
    missing = [each[0] for each, value in zip(names, (event, delivery_id, proof), strict=True)
               if not value]  # fmt: skip
    if missing or len(delivery_id) > _LONGEST or not delivery_id.isprintable():
        raise BadInput(
            "invalid_delivery",
            f"a webhook of {git_host} carries {', '.join(missing or names[1])}",
            "set a secret where the webhook is set up: docs/git-hosts.md",
        )
    return Delivery(git_host, event, delivery_id, proof, body)


def read_document(body: bytes) -> dict[str, Any]:
    """The body as a JSON object; raises `invalid_payload`."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _invalid({"body": "is not a JSON object"})
    return found


def name_in(git_host: GitHost, document: Mapping[str, Any]) -> str:
    """Which repository a payload says it is about; empty when it names none."""
    member, name = (
        ("project", "path_with_namespace") if git_host is GitHost.GITLAB
        else ("repository", "full_name")
    )  # fmt: skip
    found = document.get(member)
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) else ""


def require_proof(delivery: Delivery, repository: Repository | None) -> None:
    """Raise `signature_invalid` unless the sender knows the repository's secret.

    A repository that is not there is answered in the same way and time, so that nobody can find
    out which there are. Compared in constant time.
    """
    secret = repository.webhook_secret if repository is not None else _NOBODYS_SECRET
    wanted = secret.encode()
    if delivery.git_host is not GitHost.GITLAB:
        prefix = "sha256=" if delivery.git_host is GitHost.GITHUB else ""
        wanted = prefix.encode() + hmac.new(wanted, delivery.body, sha256).hexdigest().encode()
    shown = delivery.proof.encode("utf-8", "surrogateescape")
    if not hmac.compare_digest(shown, wanted) or repository is None:
        raise SignInRequired(
            "signature_invalid",
            "no repository of git-hosts.toml has this name and this secret",
            "compare both with what is set where the webhook is set up: docs/git-hosts.md",
        )


def read_change(delivery: Delivery, document: Mapping[str, Any]) -> Change | None:
    """What the payload says of a pull request; None when it is an event that is not used.

    Raises `invalid_payload` with every problem.
    """
    match delivery.git_host:
        case GitHost.GITHUB | GitHost.GITEA:
            if delivery.event != "pull_request":
                return None
            return _read_pull_request(document)
        case GitHost.GITLAB:
            if delivery.event != "Merge Request Hook":
                return None
            return _read_merge_request(document)
        case _:
            assert_never(delivery.git_host)


def _read_pull_request(document: Mapping[str, Any]) -> Change | None:
    """GitHub's payload, which Gitea and Forgejo have taken over."""
    action = document.get("action")
    if action != "closed" and action not in _OPENING:
        return None
    problems: dict[str, str] = {}
    root = StrictTable(document, "", problems)
    request = _table(root, "pull_request")
    head = _table(request, "head")
    own = name_in(GitHost.GITHUB, document).casefold()
    # A fork that was deleted since is null.
    source = head.take("repo", dict, None) if head.take("repo", object, None) else None
    source_name = source.get("full_name") if source else None
    change = Change(
        _number(request, "number"),
        action != "closed",
        _commit(head, "sha"),
        _text(head, "ref"),
        not isinstance(source_name, str) or source_name.casefold() != own,
        _page(request.text("html_url", "")),
        _moment(request, "updated_at"),
    )
    if problems:
        raise _invalid(problems)
    return change


def _read_merge_request(document: Mapping[str, Any]) -> Change | None:
    """GitLab's payload. An update is a push only when it names the commit before (`oldrev`)."""
    problems: dict[str, str] = {}
    root = StrictTable(document, "", problems)
    request = _table(root, "object_attributes")
    action = request.text("action", "")
    closes = action in ("close", "merge")
    pushes = action == "update" and request.has("oldrev")
    if not closes and not pushes and action not in ("open", "reopen"):
        return None
    change = Change(
        _number(request, "iid"),
        not closes,
        _commit(_table(request, "last_commit"), "id"),
        _text(request, "source_branch"),
        _number(request, "source_project_id") != _number(request, "target_project_id"),
        _page(request.text("url", "")),
        _moment(request, "updated_at"),
    )
    if problems:
        raise _invalid(problems)
    return change


def _table(parent: StrictTable, key: str) -> StrictTable:
    found = parent.table(key)
    if found is not None:
        return found
    if not parent.has(key):
        parent.problem(key, "is missing")
    return StrictTable({}, key, {})


def _text(table: StrictTable, key: str) -> str:
    text = table.text(key, "")
    if not text or not text.isprintable():
        table.problem(key, "is not a text that can be shown")
    return text[:_LONGEST]


def _number(table: StrictTable, key: str) -> int:
    number = table.number(key, 0)
    if not 0 < number < MOST_NUMBER:
        table.problem(key, "is not a number from 1 on")
    return number


def _commit(table: StrictTable, key: str) -> str:
    text = table.text(key, "")
    if not is_commit_id(text):
        table.problem(key, "is not a full SHA-1 commit id")
    return text


def _page(text: str) -> str:
    fine = text.startswith(("https://", "http://")) and text.isprintable() and len(text) < 2000
    return text if fine and not set(text) & set(" \"'<>`()") else ""


def _moment(table: StrictTable, key: str) -> datetime:
    """A time; older versions of GitLab write `2026-11-20 10:00:00 UTC`."""
    text = table.text(key, "").replace(" UTC", "+00:00")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        table.problem(key, "is not a time")
        return datetime.fromtimestamp(0, UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _invalid(problems: dict[str, str]) -> BadInput:
    listed = "; ".join(f"{key}: {text}" for key, text in sorted(problems.items()))
    return BadInput("invalid_payload", listed, "docs/git-hosts.md", {"problems": problems})
