"""One process that serves a slot, live or candidate, and how it is known to be ready."""

import asyncio
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from secrets import token_hex

from ouroboros.adapters.guard import list_descendants
from ouroboros.adapters.listeners import listens_in
from ouroboros.adapters.processes import GuardedSpec
from ouroboros.entrypoints.supervisor.children import Child, Children
from ouroboros.entrypoints.supervisor.probe import probe
from ouroboros.ports import BackendSpec

_GRACE_S = 10.0
_PROBE_EVERY_S = 0.03
_PROBE_SLOWLY_S = 0.25
_QUICK_PROBES = 200
_SERVER_ERROR = 500
NONCE = "PREVIEW_NONCE"


class Serving:
    """A backend process. `ready` is set when it answers on `port` like something that works."""

    def __init__(self, spec: BackendSpec, child: Child, nonce: str, port: int) -> None:
        self.spec = spec
        self.child = child
        self.nonce = nonce
        self.port = port
        self.since = datetime.now(UTC)
        self.ready = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def alive(self) -> bool:
        """Whether anything of it is left."""
        return self.child.alive

    @property
    def state(self) -> str:
        """starting | running | exited"""
        if not self.alive:
            return "exited"
        return "running" if self.ready.is_set() else "starting"

    def begin(self, spec: BackendSpec) -> None:
        """Note that it serves from now on, for this specification."""
        self.spec = spec
        self.since = datetime.now(UTC)

    def follow(self, on_ready: Callable[[], None], on_end: Callable[["Serving"], None]) -> None:
        """Say when it is ready and when it has ended, from now on."""
        self._cancel_tasks()
        if not self.ready.is_set():
            self._tasks.append(asyncio.create_task(self._note_readiness(on_ready)))
        self._tasks.append(asyncio.create_task(self._note_end(on_end)))

    async def wait_ready(self, limit_s: float) -> bool:
        """Wait until it is ready; False when it ended or the limit came first."""
        waits = [asyncio.create_task(e.wait()) for e in (self.ready, self.child.gone)]
        await asyncio.wait(waits, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()
        return self.alive and self.ready.is_set()

    async def proves_itself_on(self, port: int, limit_s: float) -> bool:
        """Wait until an answer on a port carries this process's nonce."""
        deadline = asyncio.get_running_loop().time() + limit_s
        while self.alive and asyncio.get_running_loop().time() < deadline:
            answer = await probe(port, self.spec.health_path)
            if answer is not None and answer.nonce == self.nonce:
                return True
            await asyncio.sleep(0.005)
        return False

    async def accepts_no_more(self, port: int, limit_s: float) -> bool:
        """Wait until none of its processes holds a listener of this port any more."""
        deadline = asyncio.get_running_loop().time() + limit_s
        while self.alive and asyncio.get_running_loop().time() < deadline:
            entries = list_descendants(self.child.process.guard_pid)
            if not listens_in(port, {entry.pid for entry in entries}):
                return True
            await asyncio.sleep(0.005)
        return not self.alive

    async def end(self) -> None:
        """Let it drain, then end it and everything it forked."""
        self._cancel_tasks()
        await self.child.end()

    def _cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    async def _note_readiness(self, on_ready: Callable[[], None]) -> None:
        attempts = 0
        while not await self._answers():
            attempts += 1
            await asyncio.sleep(_PROBE_EVERY_S if attempts < _QUICK_PROBES else _PROBE_SLOWLY_S)
        self.ready.set()
        on_ready()

    async def _note_end(self, on_end: Callable[["Serving"], None]) -> None:
        await self.child.gone.wait()
        self._cancel_tasks()
        on_end(self)

    async def _answers(self) -> bool:
        answer = await probe(self.port, self.spec.health_path)
        if answer is None or answer.status >= _SERVER_ERROR:
            return False
        if answer.nonce is not None:
            return answer.nonce == self.nonce
        if self.spec.listen == "socket":
            return True  # nobody else can accept on a listener that we hold
        entries = list_descendants(self.child.process.guard_pid)
        return listens_in(self.port, {entry.pid for entry in entries})


async def start_serving(
    spec: BackendSpec,
    children: Children,
    listeners: tuple[socket.socket, ...],
    port: int,
    starter: socket.socket | None = None,
) -> Serving:
    """Start a backend process that will answer on `port`; raises `process_not_started`.

    Returns when the process runs, before it is ready; `follow` it then. Its start is work that no
    visitor of another slot shall feel: `Child.serve` lets it run where they are served. With a
    `starter` it imports its application and serves once a byte comes from there.
    """
    nonce = spec.env.get(NONCE) or token_hex(16)
    env = {**spec.env, NONCE: nonce, "PREVIEW_HEALTH_PATH": spec.health_path}
    passed = list(listeners)
    if starter is not None:
        env["PREVIEW_WAITS"] = "1"
        passed.append(starter)
    spec.log_path.parent.mkdir(parents=True, exist_ok=True)
    child = children.start(
        GuardedSpec(
            spec.argv,
            spec.cwd,
            env,
            fds=tuple(each.fileno() for each in passed),
            log_path=spec.log_path,
            grace_s=_GRACE_S,
            short_slices=True,
        )
    )
    try:
        await child.wait_spawned()
    except asyncio.CancelledError:
        child.process.kill()
        await child.gone.wait()
        raise
    return Serving(spec, child, nonce, port)


def is_same(one: BackendSpec, other: BackendSpec) -> bool:
    """Whether two specifications run the same: all but the fence and the nonce."""

    def essence(spec: BackendSpec) -> tuple[object, ...]:
        env = {key: value for key, value in spec.env.items() if key != NONCE}
        return (
            spec.argv,
            spec.cwd,
            env,
            spec.listen,
            spec.health_path,
            spec.publish_id,
            spec.egress,
        )

    return essence(one) == essence(other)
