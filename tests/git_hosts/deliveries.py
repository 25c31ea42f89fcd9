"""Webhooks as the git hosts send them: recorded payloads, headed and signed in each one's way.

The payloads have the shape that each git host publishes; whoever is named in them is invented. A
test puts its own commits and times in their place and signs what comes of it.
"""

import hashlib
import hmac
import itertools
import json
from pathlib import Path
from typing import Any

import httpx

SECRET = "a webhook secret of the tests"
GIT_HOSTS = ("github", "gitea", "gitlab")
NAMES = {
    "github": "example-org/toolshed",
    "gitea": "example-org/toolshed",
    "gitlab": "example-org/tools/toolshed",
}
HEAD = "2" * 40
"""The head commit of the recorded payloads."""

_PAYLOADS = Path(__file__).with_name("payloads")
_numbers = itertools.count(1)


def payload(git_host: str, kind: str, head: str = HEAD, number: int = 7) -> dict[str, Any]:
    """A recorded payload with another head commit and number."""
    text = (_PAYLOADS / f"{git_host}-{kind}.json").read_text(encoding="utf-8")
    document = json.loads(text.replace(HEAD, head))
    if git_host == "gitlab":
        document["object_attributes"]["iid"] = number
    elif "pull_request" in document:
        document["number"] = document["pull_request"]["number"] = number
    return document


def request_of(document: dict[str, Any]) -> dict[str, Any]:
    """The member of a payload that describes the pull request itself."""
    return document.get("pull_request") or document["object_attributes"]


def head(
    git_host: str, body: bytes, *, secret: str = SECRET, delivery: str = "", event: str = ""
) -> dict[str, str]:
    """The header fields that a git host sends with a body."""
    delivery = delivery or f"00000000-0000-4000-8000-{next(_numbers):012}"
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    match git_host:
        case "github":
            fields = {
                "User-Agent": "GitHub-Hookshot/1",
                "X-GitHub-Event": event or "pull_request",
                "X-GitHub-Delivery": delivery,
                "X-GitHub-Hook-ID": "31",
                "X-Hub-Signature-256": f"sha256={signature}",
            }
        case "gitea":
            fields = {
                "X-Gitea-Event": event or "pull_request",
                "X-Gitea-Event-Type": event or "pull_request",
                "X-Gitea-Delivery": delivery,
                "X-Gitea-Signature": signature,
                "X-Hub-Signature-256": f"sha256={signature}",
                "X-GitHub-Event": event or "pull_request",
            }
        case _:
            fields = {
                "User-Agent": "GitLab/18.0",
                "X-Gitlab-Event": event or "Merge Request Hook",
                "X-Gitlab-Event-UUID": delivery,
                "X-Gitlab-Webhook-UUID": "00000000-0000-4000-8000-ffffffffffff",
                "Idempotency-Key": delivery,
                "X-Gitlab-Instance": "https://gitlab.example.com",
                "X-Gitlab-Token": secret,
            }
    return {"Content-Type": "application/json", **fields}


def deliver(
    api: httpx.Client, git_host: str, document: dict[str, Any], **options: str
) -> httpx.Response:
    """Send a payload as its git host does."""
    body = json.dumps(document).encode()
    fields = head(git_host, body, **options)
    return api.post(f"/api/webhooks/{git_host}", content=body, headers=fields)
