"""The whole flow, as it is with real processes: from a webhook to a preview and its one comment.

A local git server (`git daemon`) holds the repository, a local server stands for the git hosts'
APIs, and everything between is a running instance: its API, its worker, its slots.
"""

import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
from tests.git_hosts.api_server import TOKEN, GitHostServer, git_host_server, write_git_hosts
from tests.git_hosts.deliveries import GIT_HOSTS, NAMES, SECRET, deliver, payload
from tests.instance import Instance, make_instance
from tests.publish.applications import Repository, make_repository

SITE = """
[frontend]
build = ["python3", "build.py"]
output = "dist"
[[smoke]]
path = "/"
contains = "lend"
"""
BUILD = """
import pathlib
pathlib.Path("dist").mkdir(exist_ok=True)
pathlib.Path("dist/index.html").write_text("<!doctype html><title>lend</title>WHICH")
"""


@dataclass
class World:
    """An instance with three repositories of three git hosts, which are one."""

    instance: Instance
    git_host: GitHostServer
    commits: dict[str, str]
    """Commits by the word that their page shows."""
    number: int = 10

    def get(self, path: str, **query: str) -> dict:
        transport = httpx.HTTPTransport(uds=str(self.instance.state_dir / "run" / "api.sock"))
        with httpx.Client(base_url="http://localhost", transport=transport, timeout=60) as api:
            answer = api.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def deliver(self, git_host: str, kind: str, sha: str) -> dict:
        with httpx.Client(base_url=f"http://127.0.0.1:{self.instance.api_port}") as api:
            answer = deliver(api, git_host, payload(git_host, kind, sha, self.number))
        assert answer.status_code == 202, answer.text
        return answer.json()

    def comment(self, *parts: str) -> str:
        """The one comment, as soon as it holds these parts."""
        self.git_host.wait_for(lambda: self._holds(parts))
        (text,) = self.git_host.of(self.number)
        return text

    def _holds(self, parts: tuple[str, ...]) -> bool:
        found = self.git_host.of(self.number)
        return len(found) == 1 and all(part in found[0] for part in parts)

    def page_of(self, comment: str) -> str:
        url = next(line for line in comment.splitlines() if line.startswith("| URL |"))
        port = url.split("|")[2].split()[0].rpartition(":")[2].rstrip("/")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return answer.read().decode()


def make_commits(repository: Repository) -> dict[str, str]:
    found = {}
    for word in ("first", "second", "third", "strangers"):
        page = BUILD.replace("WHICH", word)
        if word == "second":  # still being built when the third is pushed, however slow that is
            page += "import time\ntime.sleep(600)\n"
        files = {"preview.toml": SITE, "server.py": None, "build.py": page}
        found[word] = repository.commit(word, files)
    return found


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    directory = Path(tempfile.mkdtemp(prefix="ouro-", dir="/tmp"))
    hosts_file = directory / "git-hosts.toml"
    instance = make_instance(
        directory, OUROBOROS_GIT_HOSTS=str(hosts_file), SLOT_IDS_CSV="preview-1"
    )
    commits = make_commits(make_repository(directory / "git" / "toolshed"))
    (directory / "git" / "toolshed" / ".git" / "git-daemon-export-ok").touch()
    port = instance.web_port_base + 25
    argv = ["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}",
            f"--base-path={directory / 'git'}"]  # fmt: skip
    daemon = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    try:
        with git_host_server() as server:
            clone_url = f"git://127.0.0.1:{port}/toolshed"
            write_git_hosts(hosts_file, clone_url, server, NAMES, SECRET)
            started = instance.up()
            assert started.status == 0, started
            yield World(instance, server, commits)
    finally:
        ended = instance.down()
        daemon.terminate()
        daemon.wait(10)
        shutil.rmtree(directory, ignore_errors=True)
        assert ended.status == 0, ended


@pytest.fixture(autouse=True)
def _a_new_pull_request(world: World) -> Iterator[None]:
    world.number += 1
    yield
    assert world.git_host.wrong == []
    world.git_host.forget()


@pytest.mark.parametrize("git_host", GIT_HOSTS)
def test_a_pull_request_is_shown_updated_and_released(world, git_host):
    first, second, third = (world.commits[word] for word in ("first", "second", "third"))
    run_id = world.deliver(git_host, "opened", first)["run_id"]
    ready = world.comment("**Preview: ready**", first, "Changed since the reset")
    assert "first" in world.page_of(ready)
    assert "rows of 0 tables: 0 added, 0 changed, 0 removed; 0 objects" in ready
    slot = "/api/slots/preview-1/database"
    assert f"| Database | `{world.get(f'{slot}/fingerprint')['promised']}` (seed v1) |" in ready
    with psycopg.connect(world.get(f"{slot}/url")["database_url"]) as db:
        db.execute("CREATE TABLE ladders AS SELECT generate_series(1, 3) AS id")

    # A push while the one before is being published supersedes it; the last one is shown.
    world.deliver(git_host, "pushed", second)
    world.deliver(git_host, "pushed", third)
    ready = world.comment(
        "**Preview: ready**", third, "of 1 table: 3 added, 0 changed, 0 removed; 1 object of"
    )
    assert "third" in world.page_of(ready)
    listed = world.get("/api/publishes", run_id=run_id)["publishes"]
    assert [listed[0]["ref"], listed[-1]["ref"]] == [third, first]
    assert {p["state"] for p in listed if p["ref"] == second} <= {"superseded"}

    world.deliver(git_host, "closed", third)
    world.comment("**Preview: released**")
    assert [slot["state"] for slot in world.get("/api/slots")["slots"]] == ["free"]
    assert world.git_host.states(third)[-1] == "success"
    assert world.git_host.asked.count(f"{git_host} create") == 1


def test_a_fork_waits_for_an_operator_and_in_the_queue(world):
    stranger, ours = world.commits["strangers"], world.commits["first"]
    world.deliver("github", "opened", ours)
    world.comment("**Preview: ready**")
    holding = world.number
    world.number += 1
    run_id = world.deliver("github", "fork", stranger)["run_id"]
    told = world.comment("**Preview: waits for approval**")
    assert f"ouroboros hooks approve {run_id} --commit {stranger}" in told
    listed = world.instance.ouroboros("hooks", "list").document["pull_requests"]
    assert next(p for p in listed if p["run_id"] == run_id)["waits_for_approval"]

    wrong = world.instance.ouroboros("hooks", "approve", run_id, "--commit", ours)
    assert (wrong.status, wrong.document["error"]) == (1, "commit_moved")
    approved = world.instance.ouroboros("hooks", "approve", run_id, "--commit", stranger)
    assert approved.status == 0, approved
    # The one slot is taken: the run waits, says where, and has it when the other is closed.
    world.comment("**Preview: waiting for a slot**", "| Place in the queue | 1 |")
    waiting, world.number = world.number, holding
    world.deliver("github", "closed", ours)
    world.number = waiting
    ready = world.comment("**Preview: ready**", stranger)
    assert "strangers" in world.page_of(ready)
    world.deliver("github", "closed", stranger)
    world.comment("**Preview: released**")


def test_a_git_host_that_is_down_keeps_no_publish_from_being_ready(world):
    world.git_host.answers += [(503, {})] * 50
    run_id = world.deliver("gitlab", "opened", world.commits["first"])["run_id"]
    kinds: list[str] = []
    deadline = time.monotonic() + 30
    while not {"preview_ready", "report.failed"} <= set(kinds) and time.monotonic() < deadline:
        kinds = [event["kind"] for event in world.get("/api/events", run_id=run_id)["events"]]
    assert {"preview_ready", "report.failed"} <= set(kinds)
    assert world.git_host.of(world.number) == []
    world.deliver("gitlab", "closed", world.commits["first"])
    logs = [path.read_text() for path in (world.instance.state_dir / "logs").glob("*.log")]
    assert not any(secret in log for log in logs for secret in (SECRET, TOKEN))


def test_the_file_is_checked_by_a_command_and_before_anything_starts(world):
    good = world.instance.ouroboros("hooks", "check")
    assert good.status == 0
    assert [each["name"] for each in good.document["repositories"]] == list(NAMES.values())
    shown = json.dumps(good.document)
    assert SECRET not in shown
    broken = world.instance.state_dir.parent / "broken.toml"
    broken.write_text("[[repository]]\nname = 1\n")
    for command in ("hooks check", "up --detach"):
        refused = world.instance.ouroboros(
            *command.split(),
            OUROBOROS_GIT_HOSTS=str(broken),
            OUROBOROS_STATE_DIR=str(broken.with_name("other")),
        )
        assert (refused.status, refused.document["error"]) == (2, "invalid_git_hosts"), refused
        assert len(refused.document["problems"]) >= 5
