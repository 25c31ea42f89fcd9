"""Everything together: the start in order, the watch, and the end in the reverse order.

The one place that knows the order. Whatever fails or is asked for, `run` leaves nothing behind:
no process, no socket, no file in `run/`.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from ouroboros.adapters.instance_record import InstanceRecord, read_boot_id, write_instance
from ouroboros.adapters.leftovers import instance_id
from ouroboros.adapters.processors import SlotSessions, confine_work
from ouroboros.adapters.supervisor_client import SOCKET_NAME
from ouroboros.domain.errors import BadInput, Refused
from ouroboros.entrypoints.supervisor.backend import SlotBackend
from ouroboros.entrypoints.supervisor.backends import Backends, Fences
from ouroboros.entrypoints.supervisor.children import Children
from ouroboros.entrypoints.supervisor.ground import (
    UNWRITABLE,
    InstanceLock,
    clear_run_dir,
    end_leftovers,
    make_directories,
    make_web_roots,
    require_free_ports,
    state_dir_unwritable,
)
from ouroboros.entrypoints.supervisor.requests import RequestSocket
from ouroboros.entrypoints.supervisor.services import POSTGRES, Service
from ouroboros.entrypoints.supervisor.watch import Patience, Watch
from ouroboros.settings import Settings

_LOOK_EVERY_S = 1.0
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_house(
    settings: Settings,
    services: tuple[Service, ...],
    on_ready: Callable[[dict[str, Any]], None],
    progress: Callable[[str], None],
    patience: Patience | None = None,
) -> None:
    """Bring an instance up, call `on_ready` with its status, and keep it up until it is ended.

    Returns after SIGINT, SIGTERM or a request; everything it started has ended then. Raises
    `already_running`, `state_dir_unwritable`, `port_in_use`, and what keeps a service from
    starting.
    """
    make_directories(settings)
    with InstanceLock(settings.run_dir):
        try:
            ended = end_leftovers(settings)
            if ended:
                progress(f"ended {len(ended)} processes of a predecessor that was killed")
            clear_run_dir(settings)
            make_web_roots(settings)
            ports = [port for service in services for port in service.ports]
            require_free_ports([*ports, *(slot.api_port for slot in settings.pool)])
            asyncio.run(_House(settings, services, progress, patience).run(on_ready))
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            raise state_dir_unwritable(settings, error) from error
        finally:
            with contextlib.suppress(OSError):
                clear_run_dir(settings)


class _House:
    """One run of an instance."""

    def __init__(
        self,
        settings: Settings,
        services: tuple[Service, ...],
        progress: Callable[[str], None],
        patience: Patience | None,
    ) -> None:
        self._settings = settings
        self._progress = progress
        instance = instance_id(settings.state_dir)
        processors = confine_work(instance)
        self._children = Children(instance, processors)
        self._watches = [
            Watch(service, self._children, self._note_change, patience) for service in services
        ]
        keep_loaded_s = settings.keep_loaded_s if settings.keep_releases > 1 else 0
        slots = {
            slot.id: SlotBackend(slot, self._children, self._note_change, patience, keep_loaded_s)
            for slot in settings.pool
        }
        fences = Fences(settings.state_dir / "backend-fences.json")
        self._backends = Backends(settings.pool, slots, fences)
        self._requests = RequestSocket(settings.run_dir / SOCKET_NAME, self._answer)
        self._state = "starting"
        self._since = datetime.now(UTC)
        roles = [slot.database.role for slot in settings.pool]
        self._slot_sessions = SlotSessions(processors.serving, roles)
        self._asked_to_stop = asyncio.Event()
        self._record_task: asyncio.Handle | None = None

    async def run(self, on_ready: Callable[[dict[str, Any]], None]) -> None:
        loop = asyncio.get_running_loop()
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, self._ask_to_stop)
        try:
            self._write_record()
            await self._requests.open()
            if await self._unless_stopped(self._start()):
                self._state = "running"
                on_ready(self.document())
                await self._stay_up()
        finally:
            self._state = "stopping"
            await self._stop()

    def document(self) -> dict[str, Any]:
        """The whole state, as `ouroboros status` tells it."""
        services = [watch.document() for watch in self._watches]
        backends = {item["slot_id"]: item for item in self._backends.documents()}
        slots = [
            {
                "slot_id": slot.id,
                "preview_url": slot.preview_url,
                "web_url": slot.web_url,
                "backend_url": slot.backend_url,
                "backend": backends[slot.id],
            }
            for slot in self._settings.pool
        ]
        return {
            "state": self._state,
            "pid": os.getpid(),
            "since": self._since.isoformat(),
            "state_dir": str(self._settings.state_dir),
            "api_url": f"http://127.0.0.1:{self._settings.api_port}",
            "services": services,
            "slots": slots,
            "failing": _list_failing(self._state, services, backends),
        }

    async def _start(self) -> None:
        """Start stage after stage; within a stage all at once."""
        for _, stage in groupby(self._watches, key=lambda watch: watch.service.stage):
            watches = list(stage)
            self._progress("starting " + ", ".join(watch.service.name for watch in watches))
            async with asyncio.TaskGroup() as group:
                for watch in watches:
                    group.create_task(watch.start())

    async def _stay_up(self) -> None:
        """Let sessions of slots out as they come, until the end is asked for."""
        postgres = [watch for watch in self._watches if watch.service.name == POSTGRES]
        while not self._asked_to_stop.is_set():
            for watch in postgres:
                if watch.pid is not None:
                    self._slot_sessions.look(watch.pid)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked_to_stop.wait(), _LOOK_EVERY_S)

    async def _stop(self) -> None:
        """End the worker before the backends it commands, and PostgreSQL last."""
        stages = sorted({watch.service.stage for watch in self._watches}, reverse=True)
        for stage in stages:
            if stage == min(stages):
                await self._backends.stop_all()
            await asyncio.gather(
                *(watch.stop() for watch in self._watches if watch.service.stage == stage)
            )
        self._requests.close()

    async def _unless_stopped(self, start: Any) -> bool:
        """Run the start until it is done or the end is asked for; says which."""
        starting = asyncio.ensure_future(start)
        stopping = asyncio.ensure_future(self._asked_to_stop.wait())
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if starting.done():
            try:
                starting.result()
            except ExceptionGroup as group:
                raise group.exceptions[0] from group
            return True
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        return False

    async def _answer(self, verb: str, request: Mapping[str, Any]) -> dict[str, Any]:
        if verb == "status":
            return self.document()
        if verb == "down":
            self._asked_to_stop.set()
            return {"pid": os.getpid()}
        if verb.startswith("backend."):
            changes = not verb.endswith((".status", ".stop"))
            if self._state == "stopping" and changes:
                raise Refused("stopping", "the instance is being ended", "ouroboros up")
            return await self._backends.answer(verb.removeprefix("backend."), request)
        raise BadInput("bad_request", f"{verb[:40]!r} is no request")

    def _ask_to_stop(self) -> None:
        """The first signal ends everything in good order, the second at once."""
        if self._asked_to_stop.is_set():
            self._children.kill_all()
        self._asked_to_stop.set()

    def _note_change(self) -> None:
        """Write the record soon, once for many changes."""
        if self._record_task is None:
            self._record_task = asyncio.get_running_loop().call_later(0.02, self._write_record)

    def _write_record(self) -> None:
        self._record_task = None
        settings = self._settings
        first = settings.pool.slots[0]
        record = InstanceRecord(
            supervisor_pid=os.getpid(),
            started_at=self._since.isoformat(),
            home=str(settings.home),
            api_port=settings.api_port,
            api_socket=str(settings.run_dir / "api.sock"),
            supervisor_socket=str(settings.run_dir / SOCKET_NAME),
            domain=first.domain,
            slot_ids=tuple(slot.id for slot in settings.pool),
            web_port_base=first.web_port_base,
            api_port_base=first.api_port_base,
            boot_id=read_boot_id(),
            processes=self._children.record(),
        )
        # A full disk must not end what runs; the mark in the environment finds it all the same.
        with contextlib.suppress(OSError):
            write_instance(settings, record)


def _list_failing(
    state: str, services: list[dict[str, Any]], backends: Mapping[str, dict[str, Any]]
) -> list[str]:
    failing = [] if state == "running" else [f"the instance is {state}"]
    failing += [
        f"{item['name']}: {item['state']}"
        + (f" ({item['last_exit']})" if item["last_exit"] else "")
        for item in services
        if item["state"] != "running"
    ]
    failing += [
        f"backend of {slot_id}: {item['state']} ({item['last_exit']})"
        for slot_id, item in backends.items()
        if item["state"] in ("backoff", "failed")
    ]
    return failing
