"""What a step of a publish is handed: the publish, its directories, its log and its tools.

Running a command from here checks first that the publish is still wanted and still holds its
lease, and keeps checking while the command runs.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ouroboros.adapters.application_files import read_application
from ouroboros.adapters.browser import PageBrowser
from ouroboros.adapters.control.leases import LeaseStore
from ouroboros.adapters.control.publishes import PublishStore
from ouroboros.adapters.output_delivery import OutputDelivery
from ouroboros.adapters.publish_log import PublishLog
from ouroboros.domain.application import Application, fill
from ouroboros.domain.command import Command, Finished
from ouroboros.domain.errors import Failed, PreviewError, TimedOut
from ouroboros.domain.publish import Publish
from ouroboros.plans.environment import (
    base_environment,
    build_environment,
    network_environment,
)
from ouroboros.plans.layout import Layout
from ouroboros.ports import CommandRunner
from ouroboros.services.backends import Backends
from ouroboros.settings import Settings

_ASK_EVERY_S = 0.25
_KEEP_ALIVE_EVERY_S = 10.0
_BUILDS_YIELD_BY = 10
"""Visitors of all slots come before whoever builds; alone, a build is as fast as ever."""


class PublishStopped(PreviewError):
    """The publish is no longer wanted: cancelled, superseded, or its lease is gone."""

    http_status = 409


@dataclass(slots=True)
class Watch:
    """Whether to go on, asked of the control plane a few times a second at most."""

    store: PublishStore
    publish: Publish
    ttl_s: int
    reason: str | None = None
    _asked_at: float = float("-inf")
    _kept_at: float = float("-inf")

    def stopped(self) -> bool:
        """Whether the publish must end now; `reason` says why."""
        now = time.monotonic()
        if self.reason is None and now - self._asked_at >= _ASK_EVERY_S:
            self._asked_at = now
            cancelled, superseded, holds = self.store.flags(self.publish)
            if not holds:
                self.reason = "stale_fence"
            elif superseded:
                self.reason = "superseded"
            elif cancelled:
                self.reason = "cancelled"
            elif now - self._kept_at >= _KEEP_ALIVE_EVERY_S:
                self._kept_at = now
                self.store.keep_alive(self.publish, self.ttl_s)
        return self.reason is not None

    def require_wanted(self) -> None:
        """Raise `PublishStopped` when the publish must end."""
        self._asked_at = float("-inf")
        self.require_still_wanted()

    def require_still_wanted(self) -> None:
        """The same, but asked as seldom as `stopped` does: for whoever waits."""
        if self.stopped():
            raise PublishStopped(
                str(self.reason),
                f"publish {self.publish.publish_id} was stopped: {self.reason}",
                "ouroboros publishes",
            )


@dataclass(slots=True)
class Work:
    """One publish at work in the worker."""

    publish: Publish
    settings: Settings
    layout: Layout
    runner: CommandRunner
    store: PublishStore
    leases: LeaseStore
    backends: Backends
    log: PublishLog
    delivery: OutputDelivery
    """Brings the log to those who watch."""
    watch: Watch
    environ: Mapping[str, str]
    precompress: Callable[[str], int]
    """Gives the files of a directory their compressed siblings, as the surface serves them."""
    browser: PageBrowser
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the steps before found, by the step's name; also from before a crash."""
    _application: Application | None = None

    @property
    def release(self) -> Path:
        """The directory of the release that is being made, or gone back to."""
        return self.layout.release(self.publish.slot, self.publish.release_id)

    @property
    def source(self) -> Path:
        """The worktree of the exact commit."""
        return self.release / "src"

    @property
    def commit(self) -> str:
        """The commit that is published; known after the source step."""
        return self.publish.commit_sha or str(self.results["source"]["commit_sha"])

    @property
    def application(self) -> Application:
        """What the worktree's application is."""
        if self._application is None:
            self._application = read_application(self.source)
        return self._application

    def under_fence(self) -> AbstractContextManager[object]:
        """Do something that others can see only while the lease holds; raises `stale_fence`."""
        return self.leases.under_fence(self.publish.slot, self.publish.fence)

    def base_environment(self) -> dict[str, str]:
        """PATH, LANG, TZ and HOME of the slot."""
        home = self.layout.home(self.publish.slot)
        home.mkdir(parents=True, exist_ok=True)
        return base_environment(self.backends.tools_path, home)

    def build_environment(self) -> dict[str, str]:
        """The environment of installs and builds."""
        return build_environment(
            self.base_environment(),
            network_environment(self.environ),
            self.publish.slot,
            self.layout.cache(self.publish.slot),
        )

    def build_command(self, argv: tuple[str, ...], directory: Path) -> Command:
        """An install or build command with this installation's limits."""
        environment = self.build_environment()
        values = {"slot.id": self.publish.slot.id, "commit": self.commit}
        return Command(
            tuple(fill(item, values) for item in argv),
            directory,
            environment,
            float(self.settings.build_time_limit_s),
            self.settings.build_output_limit_bytes,
            slot_id=self.publish.slot.id,
            needs_network=True,
            yields_by=_BUILDS_YIELD_BY,
        )

    def run(self, command: Command, failure: str) -> Finished:
        """Run a command into the log; raises `failure` (a code) or a code for its limit."""
        self.watch.require_wanted()
        self.log.line(f"$ {command.shown()}")
        finished = self.run_watched(command)
        self.log.line(f"exit {finished.exit_status} after {finished.duration_s:.1f} s")
        if finished.timed_out:
            raise TimedOut(
                "build_timed_out",
                f"{command.shown()} did not end within {command.time_limit_s:.0f} s",
                "raise OUROBOROS_BUILD_TIME_LIMIT_S or make it faster",
            )
        if finished.output_limit_reached:
            raise Failed(
                "build_output_limit",
                f"{command.shown()} printed more than {command.output_limit_bytes} bytes",
                "raise OUROBOROS_BUILD_OUTPUT_LIMIT_BYTES or print less",
            )
        if not finished.succeeded:
            raise Failed(
                failure,
                f"{command.shown()} ended with status {finished.exit_status}",
                f"ouroboros logs {self.publish.publish_id} shows what it printed",
            )
        return finished

    def run_watched(self, command: Command) -> Finished:
        """Run a command into the log, however it ends; raises `PublishStopped` in the midst."""
        finished = self.runner.run(command, self.log.output, self.watch.stopped)
        if finished.cancelled:
            self.watch.require_wanted()
        return finished

    def query(self, command: Command) -> str | None:
        """Run a short command for its output; None when it fails."""
        self.watch.require_wanted()
        finished = self.runner.run(command)
        return finished.output.strip() if finished.succeeded else None
