"""The worker: one process per host that publishes, reaps, recovers and prepares databases.

It holds a lock on a local file, so two can never work on one host. It is woken by PostgreSQL's
NOTIFY and looks by itself every two seconds. Each slot's publish runs in a thread of its own.
"""

import fcntl
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import structlog

from ouroboros.adapters.control.leases import SLOTS_CHANNEL
from ouroboros.adapters.control.publishes import PUBLISHES_CHANNEL
from ouroboros.adapters.output_delivery import OutputDelivery
from ouroboros.adapters.publish_log import PublishLog
from ouroboros.bootstrap import Installation, compose
from ouroboros.domain.errors import PreviewError, Refused
from ouroboros.domain.lease import LeaseState
from ouroboros.domain.publish import Publish
from ouroboros.entrypoints.pull_request_loops import PullRequestLoops
from ouroboros.entrypoints.surface.precompress import precompress
from ouroboros.entrypoints.surface.supervision import Supervisor
from ouroboros.plans.environment import network_environment, passwords_in
from ouroboros.services.publish.pipeline import run_publish
from ouroboros.services.publish.work import Watch, Work
from ouroboros.settings import read_settings

_LOOK_EVERY_S = 2.0
_RETRY_S = 0.5
_MEASURE_EVERY_S = 3600.0
_REPEATED = (
    "tell", "reap", "evict", "publish", "collect", "collect by size", "prepare databases",
    "take pictures",
)  # fmt: skip
_log = structlog.get_logger("worker")


class Worker:
    """The loops of the worker over one installation."""

    def __init__(self, installation: Installation) -> None:
        self._at = installation
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._turn = threading.Event()
        self._busy: dict[str, threading.Thread] = {}

    def stop(self) -> None:
        """Ask the loops to end; running publishes are continued by the next worker."""
        self._stop.set()
        self._rouse()

    def run(self) -> None:
        """Work until stopped."""
        self._patiently("register", self._at.leases.register)
        self._patiently("recover databases", self._at.databases.recover)
        self._patiently("start backends", self._start_backends)
        self._patiently("continue publishes", self._continue_publishes)
        for loop in (
            self._listen,
            self._keep_leases,
            self._prepare_databases,
            self._take_pictures,
            self._collect_by_size,
        ):
            threading.Thread(target=loop, name=loop.__name__, daemon=True).start()
        self._patiently("pull requests", PullRequestLoops(self._at, self._stop).start)
        service_manager = Supervisor(self._at.environ)
        service_manager.ready()
        while not self._stop.is_set():
            service_manager.alive()
            self._wake.clear()
            self._patiently("tell", self._at.leases.tell_alive)
            self._patiently("publish", self._begin_publishes)
            self._patiently("collect", self._at.collector.collect_releases)
            self._wake.wait(_LOOK_EVERY_S)

    def _rouse(self) -> None:
        self._wake.set()
        self._turn.set()

    def _keep_leases(self) -> None:
        """End overdue leases; apart, because a backend may take longer to stop than a watchdog."""
        while not self._stop.is_set():
            self._turn.clear()
            self._patiently("reap", self._at.keeper.reap)
            self._patiently("evict", self._at.evictor.evict)
            self._turn.wait(_LOOK_EVERY_S)

    def _collect_by_size(self) -> None:
        """Once an hour, because it measures; releases go at once."""
        while not self._stop.wait(_MEASURE_EVERY_S):
            self._patiently("collect by size", self._at.collector.collect)

    def _begin_publishes(self) -> None:
        # A claim whose answer was lost is recorded, and this host's only worker is this one.
        busy = set(self._busy)  # before the look: who ends meanwhile is not begun again
        for left in self._at.publishes.running():
            if left.publish_id not in busy:
                _log.warning("nobody's", publish=left.publish_id, slot=left.slot.id)
                self._begin(left)
        while not self._stop.is_set():
            publish = self._at.publishes.claim()
            if publish is None:
                return
            self._begin(publish)

    def _continue_publishes(self) -> None:
        for publish in self._at.publishes.unfinished():
            _log.info("continue", publish=publish.publish_id, slot=publish.slot.id)
            self._begin(publish)

    def _begin(self, publish: Publish) -> None:
        thread = threading.Thread(
            target=self._publish, args=(publish,), name=publish.publish_id, daemon=True
        )
        self._busy[publish.publish_id] = thread
        try:
            thread.start()
        except RuntimeError:  # no more threads: the next look finds it with nobody
            del self._busy[publish.publish_id]
            raise

    def _publish(self, publish: Publish) -> None:
        """Run one publish to its end, over outages of PostgreSQL."""
        try:
            while not self._stop.is_set():
                try:
                    with self._work(self._at.publishes.fresh(publish)) as work:
                        state = run_publish(work)
                    _log.info("published", publish=publish.publish_id, state=state)
                    self._at.output.forget_old(publish.slot)
                    break
                except (PreviewError, OSError) as error:
                    _log.warning("interrupted", publish=publish.publish_id, error=str(error))
                    if isinstance(error, PreviewError) and error.code == "publish_not_found":
                        break  # the control plane was restored to a time before it
                    self._stop.wait(_RETRY_S)
                except Exception:  # noqa: BLE001  a fault of ours must not leave a slot publishing
                    _log.exception("interrupted by a fault", publish=publish.publish_id)
                    self._stop.wait(_LOOK_EVERY_S)
        finally:
            self._busy.pop(publish.publish_id, None)
            self._wake.set()

    @contextmanager
    def _work(self, publish: Publish) -> Iterator[Work]:
        at = self._at
        begun = at.publishes.steps(publish.publish_id)
        with (
            closing(self._log_of(publish, begun)) as log,
            closing(OutputDelivery(publish, log, at.output)) as delivery,
        ):
            yield Work(
                publish,
                at.settings,
                at.layout,
                at.runner,
                at.publishes,
                at.leases,
                at.backends,
                log,
                delivery,
                Watch(at.publishes, publish, at.settings.lease_ttl_s),
                at.environ,
                precompress,
                at.browser,
            )

    def _log_of(self, publish: Publish, begun: Sequence[Mapping[str, Any]]) -> PublishLog:
        at = self._at
        secrets = [at.databases.url(publish.slot).password]
        secrets += passwords_in(network_environment(at.environ))
        last_step = begun[-1]["step"] if begun else None
        return PublishLog(at.layout.artifacts(publish.publish_id), secrets, last_step)

    def _start_backends(self) -> None:
        """Start the backends of live releases again after the supervisor was started anew."""
        for document in self._at.slots.all():
            slot = self._at.settings.pool.parse(document["slot_id"])
            if document["lease_state"] != LeaseState.LEASED or not document["publish_id"]:
                continue
            try:
                if self._at.runtime.status(slot).state == "stopped" and self._at.backends.live(
                    slot
                ):
                    self._at.backends.begin_start(slot)
            except Exception as error:  # noqa: BLE001  one slot's trouble must not keep the others
                _log.error("backend not started", slot=slot.id, error=str(error))

    def _prepare_databases(self) -> None:
        """Drop retired databases and make standbys, one at a time, whenever there is work."""
        while not self._stop.is_set():
            if not self._patiently("prepare databases", self._at.databases.maintain):
                self._stop.wait(0.25)

    def _take_pictures(self) -> None:
        """Take a picture of each preview that has become ready, one at a time."""
        while not self._stop.is_set():
            if not self._patiently("take pictures", self._at.pictures.take_next):
                self._stop.wait(1.0)

    def _listen(self) -> None:
        """Wake the main loop whenever a publish was queued or a slot changed hands."""
        while not self._stop.is_set():
            try:
                with psycopg.connect(self._at.access.control_dsn(), autocommit=True) as connection:
                    connection.execute(f"LISTEN {PUBLISHES_CHANNEL}")
                    connection.execute(f"LISTEN {SLOTS_CHANNEL}")
                    self._rouse()
                    for _ in connection.notifies():
                        self._rouse()
            except psycopg.Error as error:
                _log.warning("not listening", error=type(error).__name__)
                self._stop.wait(_RETRY_S)

    def _patiently(self, what: str, act: Callable[[], object]) -> object:
        """Do one thing; a failure is told and the loop goes on, because it must."""
        while True:
            try:
                return act()
            except Exception as error:  # noqa: BLE001  the loop outlives any one task
                _log.error("failed", what=what, error=repr(error))
                if self._stop.wait(_RETRY_S) or what in _REPEATED:
                    return None


@contextmanager
def only_worker(run_dir: Path) -> Iterator[None]:
    """Hold this host's worker lock; raises `worker_already_running`."""
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / "worker.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Refused(
                "worker_already_running",
                f"another worker holds {file.name}",
                "one worker per host; ouroboros status shows it",
            ) from error
        file.write(str(os.getpid()))
        file.flush()
        yield


def main() -> int:
    """Run the worker until SIGTERM or SIGINT; returns the exit status."""
    settings = read_settings(os.environ)
    try:
        with only_worker(settings.run_dir):
            installation = compose(settings, os.environ, "ouroboros-worker")
            worker = Worker(installation)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: worker.stop())
            worker.run()
    except PreviewError as error:
        _log.error("not started", code=error.code, message=error.message, hint=error.hint)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
