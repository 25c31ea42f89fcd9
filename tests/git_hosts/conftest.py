"""The API with a repository on each of three git hosts; a local server stands for their APIs."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from tests.git_hosts.api_server import GitHostServer, git_host_server, write_git_hosts
from tests.git_hosts.deliveries import HEAD, NAMES, SECRET, deliver, payload
from tests.http.conftest import Served, serve
from tests.postgres import TestCluster

from ouroboros.adapters.control.schema import migrate_control_plane
from ouroboros.adapters.git_host_api import HttpGitHostApi
from ouroboros.bootstrap import compose, compose_follower, compose_reporters


@dataclass
class Hooked:
    """A served API with what the worker would do, a step at a time."""

    served: Served
    git_host: GitHostServer
    number: int = 0
    """The pull request of the test; every test has another one."""

    def api(self) -> httpx.Client:
        """As somebody whom nothing but a signature can show to be known."""
        return self.served.tcp(**{"X-Forwarded-For": "192.0.2.7"})

    def payload(self, git_host: str, kind: str, head: str = HEAD) -> dict:
        return payload(git_host, kind, head, self.number)

    def deliver(self, git_host: str, kind: str, head: str) -> dict:
        with self.api() as api:
            answer = deliver(api, git_host, self.payload(git_host, kind, head))
        assert answer.status_code == 202, answer.text
        return answer.json()

    def follow(self) -> None:
        """Do all that is to be done for pull requests."""
        follower = compose_follower(self.served.at)
        while follower.follow_one():
            pass

    def report(self) -> None:
        """Tell all that is to be told."""
        self.served.sql(
            "UPDATE pull_requests SET report_after = clock_timestamp(), "
            "look_again_at = clock_timestamp()"
        )
        api = HttpGitHostApi()
        try:
            for each in compose_reporters(self.served.at):
                while each.report_one(api):
                    pass
        finally:
            api.close()

    def comment(self) -> str:
        """The one comment on the pull request."""
        (text,) = self.git_host.of(self.number)
        return text

    def row(self, run_id: str) -> dict:
        found = self.served.sql("SELECT * FROM pull_requests WHERE run_id = %(id)s", id=run_id)
        return found[0]


@pytest.fixture(scope="module")
def hooked_module(cluster) -> Iterator[Hooked]:
    migrate_control_plane(cluster.access.control_dsn())
    with tempfile.TemporaryDirectory(prefix="obg", dir="/tmp") as name, git_host_server() as server:
        directory = Path(name)
        (directory / "seeds").mkdir()
        (directory / "seeds" / "v1.sql").write_text("CREATE TABLE tools (id int PRIMARY KEY);\n")
        file = directory / "git-hosts.toml"
        write_git_hosts(file, "file:///nowhere", server, NAMES, SECRET)
        changed = {"seeds_dir": directory / "seeds", "git_hosts": file}
        at = compose(replace(cluster.settings, **changed), {}, "test")
        at.leases.register()
        try:
            with serve(at, directory) as running:
                yield Hooked(running, server)
        finally:
            at.close()


@pytest.fixture
def hooked(hooked_module: Hooked, cluster: TestCluster) -> Iterator[Hooked]:
    """The same with no pull request, no lease, nothing told, and no reset that tests elsewhere did.

    A reset says for ever what its version means, and they have another v1.
    """
    cluster.drop_slot_databases()
    hooked_module.served.sql("DELETE FROM preview_db_resets")
    hooked_module.number += 1
    yield hooked_module
    hooked_module.served.end_leases()
    hooked_module.served.sql(
        "UPDATE publishes SET state = 'cancelled', finished_at = clock_timestamp() "
        "WHERE finished_at IS NULL; DELETE FROM pull_requests; DELETE FROM webhook_deliveries"
    )
    hooked_module.git_host.forget()
