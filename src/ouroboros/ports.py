"""Ports: what the services need from the world, as small Protocols.

Adapters implement them; tests run one suite against the fakes and the real things. SQL has no
fake: whatever talks to the control plane is tested against a real PostgreSQL.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from ouroboros.domain.command import Command, Finished
from ouroboros.domain.git_host import Repository
from ouroboros.domain.slot import Slot
from ouroboros.plans.git_host_requests import ApiRequest


class Clock(Protocol):
    """The time of this host. Lease time is PostgreSQL's own and never comes from here."""

    def now(self) -> datetime:
        """The time of day, in UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that only rise."""
        ...


class CommandRunner(Protocol):
    """Runs commands in a group of their own that can be ended as a whole."""

    def run(
        self,
        command: Command,
        on_output: Callable[[bytes], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Finished:
        """Run a command to its end or to one of its limits.

        `on_output` gets stdout and stderr in chunks as they come. `cancelled` is asked at least
        every 100 ms. When this returns, no process of the command is left, whatever it forked.
        Raises `command_not_found` when there is no such program.
        """
        ...


class GitHostApi(Protocol):
    """Sends requests to the APIs of git hosts."""

    def send(self, repository: Repository, request: ApiRequest) -> Any:
        """Send one request and return the document of its answer.

        Raises `git_host_unreachable`, `git_host_answered_nonsense`, or `git_host_refused` for an
        answer that is no success.
        """
        ...


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """How to run one backend of a slot.

    With `listen = "socket"` the process inherits its listeners by the LISTEN_FDS protocol of
    sd_listen_fds(3); with `"port"` it binds the slot's port by itself. `env` is the whole
    environment, beside `PREVIEW_NONCE`, which the runtime adds: a process that knows it and
    answers with it proves that it is the one that was started. `log_path` gets stdout and
    stderr.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    listen: str
    health_path: str
    log_path: Path
    publish_id: str
    run_id: str
    commit_sha: str
    fence: int
    egress: tuple[str, ...] = ()
    """Networks that it may reach; without any it has none but its listener."""


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """What runs behind a slot's API port. `since` is when the present process was started."""

    slot_id: str
    state: str
    """stopped | starting | running | backoff | failed"""
    port: int
    pid: int | None = None
    since: datetime | None = None
    restarts: int = 0
    last_exit: str | None = None
    publish_id: str | None = None
    run_id: str | None = None
    commit_sha: str | None = None
    fence: int = 0
    log_path: Path | None = None
    nonce: str | None = None
    candidate_port: int | None = None
    candidate_state: str | None = None
    """starting | running | exited; None when there is no candidate"""
    candidate_publish_id: str | None = None
    candidate_nonce: str | None = None
    candidate_exit: str | None = None
    loaded_publish_id: str | None = None
    """Whose release waits with an imported application, so that going back to it is quick"""


class BackendRuntime(Protocol):
    """Starts and ends the backends of slots: our supervisor in local mode, systemd on a host.

    Every call that has an effect carries the fence of the lease it acts under and is refused
    with `stale_fence` when the slot has seen a higher one.
    """

    def status(self, slot: Slot) -> BackendStatus:
        """What runs now; never an error for a stopped backend."""
        ...

    def start(self, slot: Slot, spec: BackendSpec) -> BackendStatus:
        """Start this spec unless it runs already; one that runs from another spec is replaced."""
        ...

    def prepare(self, slot: Slot, spec: BackendSpec) -> BackendStatus:
        """Start a candidate beside the live backend, on a private port (`candidate_port`).

        Only for `listen = "socket"`. A candidate that is there already is ended first.
        """
        ...

    def promote(self, slot: Slot, publish_id: str, fence: int) -> BackendStatus:
        """Let the candidate take the slot's port, then drain and end the one before it."""
        ...

    def discard(self, slot: Slot, fence: int) -> None:
        """End the candidate, if there is one."""
        ...

    def park(self, slot: Slot, fence: int) -> BackendStatus:
        """End backend and candidate, but keep the port, where requests wait for the next one.

        Until `prepare` and `promote`, `start` or `stop`.
        """
        ...

    def stop(self, slot: Slot, fence: int) -> BackendStatus:
        """End backend and candidate; when this returns no process of the slot is left."""
        ...

    def erase_home(self, slot: Slot, fence: int) -> None:
        """Remove what the slot's own processes kept in its home; nothing of it runs then."""
        ...

    def trim_caches(self, slot: Slot, fence: int, limit_bytes: int) -> int:
        """Empty the slot's tool caches if they hold more than this; returns the bytes freed.

        Nothing is built in the slot meanwhile.
        """
        ...
