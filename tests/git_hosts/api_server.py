"""A server that stands for the APIs of the three git hosts and judges what it is asked.

What a request must look like is written down from the published descriptions: GitHub's REST API
2022-11-28, Gitea's and Forgejo's API v1 (`CreateStatusOption`, `CreateIssueCommentOption`,
`EditIssueCommentOption`), GitLab's API v4. Whatever is not as described is noted in `wrong`. It
also behaves as they do where that matters: a comment has an id, and GitLab refuses the state that
a status has already.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from jsonschema import Draft202012Validator

TOKEN = "a token of the tests, not of anybody"

_TEXT = {"type": "string", "minLength": 1}
_BODY = {
    "type": "object",
    "required": ["body"],
    "properties": {"body": {**_TEXT, "maxLength": 65536}},
    "additionalProperties": False,
}


def _status(states: list[str], name: str, longest: int) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["state"],
        "properties": {
            "state": {"enum": states},
            "target_url": {"type": "string", "pattern": "^https?://"},
            "description": {**_TEXT, "maxLength": longest},
            name: _TEXT,
        },
        "additionalProperties": False,
    }


_OWNER = r"(?P<project>[\w.-]+/[\w.-]+)"
_ISSUES = rf"/repos/{_OWNER}/issues"
_NOTES = r"/projects/(?P<project>[\w.-]+(?:%2F[\w.-]+)+)/merge_requests/(?P<number>\d+)/notes"
_GITHUB_STATES = ["error", "failure", "pending", "success"]
_OPERATIONS: dict[str, list[tuple[str, str, str, dict[str, Any] | None]]] = {
    "github": [
        ("status", "POST", rf"/repos/{_OWNER}/statuses/(?P<sha>[0-9a-f]{{40}})",
         _status(_GITHUB_STATES, "context", 140)),
        ("list", "GET", rf"{_ISSUES}/(?P<number>\d+)/comments", None),
        ("create", "POST", rf"{_ISSUES}/(?P<number>\d+)/comments", _BODY),
        ("edit", "PATCH", rf"{_ISSUES}/comments/(?P<comment>\d+)", _BODY),
    ],
    "gitea": [
        ("status", "POST", rf"/repos/{_OWNER}/statuses/(?P<sha>[0-9a-f]{{40}})",
         _status([*_GITHUB_STATES, "warning"], "context", 255)),
        ("list", "GET", rf"{_ISSUES}/(?P<number>\d+)/comments", None),
        ("create", "POST", rf"{_ISSUES}/(?P<number>\d+)/comments", _BODY),
        ("edit", "PATCH", rf"{_ISSUES}/comments/(?P<comment>\d+)", _BODY),
    ],
    "gitlab": [
        ("status", "POST",
         r"/projects/(?P<project>[\w.-]+(?:%2F[\w.-]+)+)/statuses/(?P<sha>[0-9a-f]{40})",
         _status(["pending", "running", "success", "failed", "canceled", "skipped"], "name", 255)),
        ("list", "GET", _NOTES, None),
        ("create", "POST", _NOTES, _BODY),
        ("edit", "PUT", rf"{_NOTES}/(?P<comment>\d+)", _BODY),
    ],
}  # fmt: skip
_AUTHORIZATION = {
    "github": ("Authorization", f"Bearer {TOKEN}"),
    "gitea": ("Authorization", f"token {TOKEN}"),
    "gitlab": ("PRIVATE-TOKEN", TOKEN),
}
_ROOTS = {"github": "/github", "gitea": "/gitea/api/v1", "gitlab": "/gitlab/api/v4"}


@dataclass
class GitHostServer:
    """What the server was told, and how it is to behave."""

    port: int
    comments: dict[int, dict[str, Any]] = field(default_factory=dict)
    statuses: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """The operations in their order: `github create`."""
    wrong: list[str] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Failures to answer with next, before anything is looked at."""
    changed: threading.Condition = field(default_factory=threading.Condition)

    def api_url(self, git_host: str) -> str:
        return f"http://127.0.0.1:{self.port}{_ROOTS[git_host]}"

    def of(self, number: int) -> list[str]:
        """The texts of the comments on a pull request."""
        return [each["body"] for each in self.comments.values() if each["number"] == number]

    def states(self, sha: str) -> list[str]:
        """The states that a commit has had."""
        return [document["state"] for of, document in self.statuses if of == sha]

    def forget(self) -> None:
        for kept in (self.comments, self.statuses, self.asked, self.wrong, self.answers):
            kept.clear()

    def wait_for(self, holds: Any, limit_s: float = 30.0) -> None:
        """Wait until something holds of what was told; raises AssertionError."""
        with self.changed:
            told = self.changed.wait_for(holds, limit_s)
        texts = [each["body"] for each in self.comments.values()]
        assert told, (self.wrong, self.asked, self.statuses, texts)

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, Any, Any]:
        if self.answers:
            status, fields = self.answers.pop(0)
            return status, fields, {"message": "refused by the test"}
        git_host = next((name for name, root in _ROOTS.items() if path.startswith(root)), "")
        rest = urlsplit(path.removeprefix(_ROOTS.get(git_host, ""))).path
        matched = [
            (operation, schema, found)
            for operation, verb, pattern, schema in _OPERATIONS.get(git_host, [])
            if verb == method and (found := re.fullmatch(pattern, rest))
        ]
        if not matched:
            return self._complain(404, f"{method} {path} is no operation of {git_host}")
        operation, schema, found = matched[0]
        self._judge(git_host, headers)
        document = None
        if schema is not None:
            if not headers.get("Content-Type", "").startswith("application/json"):
                self.wrong.append(f"{operation}: Content-Type {headers.get('Content-Type')}")
            document = json.loads(body)
            problems = [str(e.message) for e in Draft202012Validator(schema).iter_errors(document)]
            if problems:
                return self._complain(422, f"{git_host} {operation}: {problems}")
        self.asked.append(f"{git_host} {operation}")
        status, told = self._do(git_host, operation, found.groupdict(), document or {})
        return status, {}, told

    def _judge(self, git_host: str, headers: Any) -> None:
        name, value = _AUTHORIZATION[git_host]
        if headers.get(name) != value:
            self.wrong.append(f"{git_host}: {name} is {headers.get(name)!r}")
        if not headers.get("User-Agent"):
            self.wrong.append("no User-Agent, which GitHub refuses")
        if git_host == "github" and (
            headers.get("Accept") != "application/vnd.github+json"
            or headers.get("X-GitHub-Api-Version") != "2022-11-28"
        ):
            self.wrong.append("github: Accept or X-GitHub-Api-Version")

    def _do(
        self, git_host: str, operation: str, where: dict[str, str], document: dict[str, Any]
    ) -> tuple[int, Any]:
        project = unquote(where["project"])
        match operation:
            case "status":
                known = [d["state"] for of, d in self.statuses if of == where["sha"]]
                if git_host == "gitlab" and known and known[-1] == document["state"]:
                    return 400, {"message": {"status": ["Cannot transition status"]}}
                self.statuses.append((where["sha"], document))
                return 201, {"id": len(self.statuses), **document}
            case "list":
                place = (project, int(where["number"]))
                own = [c for c in self.comments.values() if (c["project"], c["number"]) == place]
                return 200, [{"id": each["id"], "body": each["body"]} for each in own]
            case "create":
                made = {"id": 1000 + len(self.comments), "project": project,
                        "number": int(where["number"]), "body": document["body"]}  # fmt: skip
                self.comments[made["id"]] = made
                return 201, {"id": made["id"], "body": made["body"]}
            case _:
                found = self.comments.get(int(where["comment"]))
                if found is None or found["project"] != project:
                    return 404, {"message": "Not Found"}
                found["body"] = document["body"]
                return 200, {"id": found["id"], "body": found["body"]}

    def _complain(self, status: int, text: str) -> tuple[int, Any, Any]:
        self.wrong.append(text)
        return status, {}, {"message": text}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    judge: GitHostServer

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.judge.changed:
            status, fields, document = self.judge.answer(
                self.command, self.path, self.headers, body
            )
            self.judge.changed.notify_all()
        sent = json.dumps(document).encode()
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_GET = do_POST = do_PATCH = do_PUT = _any  # noqa: N815

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def git_host_server() -> Iterator[GitHostServer]:
    """A running server on a free port."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    handler.judge = GitHostServer(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield handler.judge
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def write_git_hosts(path: Any, clone_url: str, server: GitHostServer, names: Any, secret: str):
    """A `git-hosts.toml` for a repository on each git host, with its secrets beside it."""
    for name, text in (("hook", secret), ("token", TOKEN)):
        file = path.with_name(f"{name}.secret")
        file.write_text(f"{text}\n")
        file.chmod(0o600)
    tables = [
        f"""
[[repository]]
git_host = "{git_host}"
name = "{name}"
clone_url = "{clone_url}"
api_url = "{server.api_url(git_host)}"
seed_version = "v1"
webhook_secret_file = "hook.secret"
api_token_file = "token.secret"
"""
        for git_host, name in names.items()
    ]
    path.write_text("".join(tables))
