"""Sending requests to the API of a git host, with limits in time and size.

For the worker only: it alone may reach other machines, and a slow git host keeps nothing waiting
but its own reports. Redirects are not followed, since the token would go where they lead.
"""

import json
import time
from typing import Any

import httpx

from ouroboros.domain.errors import Failed, Unhealthy
from ouroboros.domain.git_host import GitHostRefused, Repository
from ouroboros.plans.git_host_requests import ApiRequest, headers_for

_STEP_LIMIT_S = 10.0
_WHOLE_LIMIT_S = 30.0
_ANSWER_LIMIT_BYTES = 4 << 20
_LONGEST_WAIT_S = 3600.0


_HINTS = {
    401: "the token of git-hosts.toml is not known or has expired",
    403: "the token of git-hosts.toml may not do this: docs/git-hosts.md",
    404: "the token of git-hosts.toml does not see the repository: docs/git-hosts.md",
}


class HttpGitHostApi:
    """Requests to git hosts over kept connections; one thread at a time."""

    def __init__(self) -> None:
        self._client = httpx.Client(timeout=_STEP_LIMIT_S, follow_redirects=False)

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def send(self, repository: Repository, request: ApiRequest) -> Any:
        """Send one request and return the document of its answer.

        Raises `git_host_unreachable`, or `git_host_refused` for an answer that is no success.
        """
        try:
            status, headers, body = self._exchange(repository, request)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise Unhealthy(
                "git_host_unreachable",
                f"{repository.api_url} does not answer ({type(error).__name__})",
                "it is tried again by itself",
            ) from error
        if not 200 <= status < 300:
            raise GitHostRefused(
                f"{request.method} {request.path} was answered {status}: {_said(body)}",
                _HINTS.get(status, ""),
                status,
                _wait_s(headers),
            )
        try:
            return json.loads(body) if body else None
        except (ValueError, RecursionError) as error:
            raise Failed(
                "git_host_answered_nonsense",
                f"{repository.api_url} answered {request.method} with what is no JSON",
                "is api_url in git-hosts.toml the root of its API?",
            ) from error

    def _exchange(
        self, repository: Repository, request: ApiRequest
    ) -> tuple[int, httpx.Headers, bytes]:
        deadline = time.monotonic() + _WHOLE_LIMIT_S
        body = bytearray()
        with self._client.stream(
            request.method,
            repository.api_url + request.path,
            headers=headers_for(repository, str(repository.api_token)),
            json=request.document,
        ) as answer:
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > _ANSWER_LIMIT_BYTES or time.monotonic() > deadline:
                    raise TimeoutError("an answer that does not end")
            return answer.status_code, answer.headers, bytes(body)


def _said(body: bytes) -> str:
    """What the git host says of a failure, short."""
    try:
        found = json.loads(body)
        text = str(found.get("message") or found.get("error") or "")
    except (ValueError, RecursionError, AttributeError):
        text = ""
    return "".join(char for char in text if char.isprintable())[:200] or "it says no more"


def _wait_s(headers: httpx.Headers) -> float:
    text = headers.get("retry-after", "")
    return min(float(text), _LONGEST_WAIT_S) if text.isascii() and text.isdigit() else 0.0
