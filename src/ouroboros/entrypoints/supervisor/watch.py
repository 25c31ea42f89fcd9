"""One service: started, proven ready, restarted with backoff when it dies, and ended.

The first start is part of `ouroboros up` and raises what went wrong, with the last lines of the
log; after that a death is answered by a restart, for as long as it takes.
"""

import asyncio
import contextlib
import fcntl
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ouroboros.adapters.processes import GuardedSpec
from ouroboros.domain.errors import Failed, PreviewError, TimedOut
from ouroboros.entrypoints.supervisor.children import Child, Children
from ouroboros.entrypoints.supervisor.probe import probe
from ouroboros.entrypoints.supervisor.services import CommandReady, HttpReady, LockHeld, Service

_PROBE_EVERY_S = 0.03
_HTTP_OK = 200


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the supervisor waits: for a restart, doubled from death to death until the process
    has lived well, for a promoted candidate to answer on the slot's port, and after a promotion
    until the release before is loaded again.
    """

    first_s: float = 0.2
    most_s: float = 3.0
    well_after_s: float = 30.0
    promotion_s: float = 10.0
    loading_s: float = 1.0

    def delay_s(self, deaths: int) -> float:
        """The wait after so many deaths in a row."""
        return min(self.most_s, self.first_s * 2.0 ** min(deaths - 1, 30))


class Watch:
    """Keeps one service up."""

    def __init__(
        self,
        service: Service,
        children: Children,
        changed: Callable[[], None],
        patience: Patience | None = None,
    ) -> None:
        self.service = service
        self.state = "stopped"
        self._children = children
        self._changed = changed
        self._patience = patience or Patience()
        self._child: Child | None = None
        self._since: datetime | None = None
        self._restarts = 0
        self._last_exit: str | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it and wait until it is ready.

        Raises `service_failed`, `service_not_ready`, or the error that the service told last.
        """
        turn_page(self.service.log_path)
        child = await self._start_once()
        self._keeper = asyncio.create_task(self._keep(child))

    async def stop(self) -> None:
        """End it and everything it forked; may be repeated."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._child is not None:
            await self._child.end()
        self._set_state("stopped")

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        child = self._child
        return child.pid if child is not None and child.alive else None

    def document(self) -> dict[str, Any]:
        """What `status` tells about it."""
        return {
            "name": self.service.name,
            "state": self.state,
            "pid": self.pid,
            "ports": list(self.service.ports),
            "since": None if self._since is None else self._since.isoformat(),
            "restarts": self._restarts,
            "last_exit": self._last_exit,
            "log": str(self.service.log_path),
        }

    async def _start_once(self) -> Child:
        self._set_state("starting")
        child = self._children.start(
            _guarded(self.service, self.service.argv), self.service.on_all_processors
        )
        self._child = child
        self._since = datetime.now(UTC)
        await child.wait_spawned()
        self._changed()
        await self._wait_ready(child)
        self._set_state("running")
        return child

    async def _wait_ready(self, child: Child) -> None:
        ready = asyncio.create_task(self._become_ready())
        died = asyncio.create_task(child.gone.wait())
        try:
            await asyncio.wait(
                (ready, died),
                timeout=self.service.ready_limit_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if died.done():
                self._last_exit = child.exit_text
                raise self._failure(f"ended with {child.exit_text} while starting")
            if not ready.done():
                raise TimedOut(
                    "service_not_ready",
                    f"{self.service.name} was not ready after {self.service.ready_limit_s:g} s",
                    f"see {self.service.log_path}",
                    {"log": last_lines(self.service.log_path)},
                )
            ready.result()
        finally:
            for task in (ready, died):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, PreviewError):
                    await task

    async def _become_ready(self) -> None:
        match self.service.ready:
            case LockHeld(path):
                while not is_locked(path):
                    await asyncio.sleep(_PROBE_EVERY_S)
            case HttpReady(port, path):
                while True:
                    answer = await probe(port, path)
                    if answer is not None and answer.status == _HTTP_OK:
                        return
                    await asyncio.sleep(_PROBE_EVERY_S)
            case CommandReady(argv):
                child = self._children.start(_guarded(self.service, argv))
                try:
                    await child.gone.wait()
                finally:
                    if child.alive:
                        await child.end()
                if child.process.exit_status != 0:
                    raise self._failure(f"could not be prepared ({child.exit_text})")

    async def _keep(self, child: Child) -> None:
        """Restart it whenever it dies, until this task is cancelled."""
        loop = asyncio.get_running_loop()
        deaths = 0
        while True:
            begun_s = loop.time()
            await child.gone.wait()
            lived_well = loop.time() - begun_s > self._patience.well_after_s
            deaths = 1 if lived_well else deaths + 1
            self._last_exit = child.exit_text
            self._restarts += 1
            self._set_state("backoff")
            await asyncio.sleep(self._patience.delay_s(deaths))
            try:
                child = await self._start_once()
            except PreviewError as error:
                self._last_exit = str(error)
                if self._child is not None:
                    await self._child.end()

    def _failure(self, what: str) -> PreviewError:
        """The error that the process told on its last line, or one that shows its last lines."""
        lines = last_lines(self.service.log_path)
        with contextlib.suppress(IndexError, ValueError, KeyError, TypeError):
            told = json.loads(lines[-1])
            return Failed(
                str(told["error"]),
                f"{self.service.name}: {told['message']}",
                str(told["hint"]),
                {"log": lines[:-1]},
            )
        return Failed(
            "service_failed",
            f"{self.service.name} {what}",
            f"see {self.service.log_path}",
            {"service": self.service.name, "log": lines},
        )

    def _set_state(self, state: str) -> None:
        self.state = state
        self._changed()


def is_locked(path: Path) -> bool:
    """Whether somebody holds the flock of a file."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def turn_page(log_path: Path) -> None:
    """Begin a new log file; the one before is kept as `.1`."""
    with contextlib.suppress(FileNotFoundError):
        log_path.replace(f"{log_path}.1")
    log_path.touch(mode=0o600)


def last_lines(log_path: Path, count: int = 15) -> list[str]:
    """The end of a log file."""
    try:
        with log_path.open("rb") as file:
            file.seek(max(0, log_path.stat().st_size - 16384))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return [line[:500] for line in deque(lines, count)]


def _guarded(service: Service, argv: tuple[str, ...]) -> GuardedSpec:
    return GuardedSpec(
        argv,
        service.cwd,
        service.env,
        log_path=service.log_path,
        stop_signal=service.stop_signal,
        stop_all=False,
        grace_s=service.grace_s,
        short_slices=service.short_slices,
    )
