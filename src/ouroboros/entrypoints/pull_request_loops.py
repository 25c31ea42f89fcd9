"""The loops of the worker over pull requests: one follows them, and one for each git host reports.

Each has a thread of its own, so that neither a long reset nor a git host that is slow keeps
anything else waiting. They are woken by PostgreSQL's NOTIFY and look by themselves, too.
"""

import threading
from collections.abc import Callable
from functools import partial

import structlog

from ouroboros.adapters.control.events import EVENTS_CHANNEL
from ouroboros.adapters.control.leases import SLOTS_CHANNEL
from ouroboros.adapters.control.listener import ChangeListener
from ouroboros.adapters.control.pull_requests import PULL_REQUESTS_CHANNEL
from ouroboros.bootstrap import Installation, compose_follower, compose_reporters

_LOOK_EVERY_S = 0.5
_RETRY_S = 0.5
_log = structlog.get_logger("worker")


class PullRequestLoops:
    """The loops of one worker; none when no repository is configured."""

    def __init__(self, at: Installation, stop: threading.Event) -> None:
        self._at = at
        self._stop = stop

    def start(self) -> None:
        """Start them in threads that end with the process."""
        if not self._at.repositories:
            return
        self._at.pull_requests.awaken()
        dsn = self._at.access.control_dsn()
        changes = ChangeListener(dsn, SLOTS_CHANNEL, PULL_REQUESTS_CHANNEL)
        self._start("follow", compose_follower(self._at).follow_one, changes)
        reporters = compose_reporters(self._at)
        if not reporters:
            return
        from ouroboros.adapters.git_host_api import HttpGitHostApi  # noqa: PLC0415  brings httpx

        events = ChangeListener(dsn, EVENTS_CHANNEL)
        for each in reporters:
            self._start("report", partial(each.report_one, HttpGitHostApi()), events)

    def _start(self, name: str, act: Callable[[], bool], changes: ChangeListener) -> None:
        wait = changes.follow()
        threading.Thread(
            target=self._repeat, args=(name, act, wait), name=name, daemon=True
        ).start()

    def _repeat(self, name: str, act: Callable[[], bool], wait: Callable[[float], object]) -> None:
        while not self._stop.is_set():
            try:
                if not act():
                    wait(_LOOK_EVERY_S)
            except Exception as error:  # noqa: BLE001  the loop outlives any one pull request
                _log.error("failed", what=f"pull requests: {name}", error=repr(error))
                self._stop.wait(_RETRY_S)
