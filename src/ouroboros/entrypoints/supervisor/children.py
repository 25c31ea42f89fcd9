"""Guarded processes on the event loop.

Decides how the supervisor waits for its children without blocking, and that none of a killed
guard's processes stays behind: as a subreaper it inherits them, and ends them.
"""

import asyncio
from dataclasses import replace

from ouroboros.adapters.guard import read_process, set_child_subreaper
from ouroboros.adapters.leftovers import end_adopted, make_marker
from ouroboros.adapters.processes import GuardedProcess, GuardedSpec, start_guarded
from ouroboros.adapters.processors import Processors
from ouroboros.domain.errors import Failed


class Child:
    """One guarded process: `spawned` is set when it runs or could not start, `gone` at its end."""

    def __init__(self, process: GuardedProcess, processors: Processors) -> None:
        self.process = process
        self._processors = processors
        self.spawned = asyncio.Event()
        self.gone = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process, not its guard."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether anything of it is left."""
        return not self.gone.is_set()

    @property
    def exit_text(self) -> str:
        """How it ended, for people: `status 1`, `signal 9`."""
        status = self.process.exit_status
        if self.process.failure is not None:
            return f"not started ({self.process.failure[0]}, errno {self.process.failure[1]})"
        if status is None:
            return "signal 9 (its guard was killed)"
        return f"signal {status - 128}" if status > 128 else f"status {status}"

    def serve(self) -> None:
        """Let it run on all processors: visitors wait for it from now on."""
        self.process.run_on(self._processors.serving)

    def leave(self) -> None:
        """Let it run where other work does: visitors do not wait for it any more."""
        self.process.run_on(self._processors.working)

    async def wait_spawned(self) -> int:
        """Wait until it runs; returns its pid. Raises `process_not_started`."""
        await self.spawned.wait()
        if self.process.pid is None:
            await self.gone.wait()
            raise Failed(
                "process_not_started",
                f"{self.process.spec.argv[0]} in {self.process.spec.cwd}: {self.exit_text}",
                "check that the program and the directory exist",
            )
        return self.process.pid

    async def end(self) -> None:
        """Ask it to end, and wait until nothing of it is left."""
        self.process.stop()
        await self.gone.wait()


class Children:
    """All guarded processes of this supervisor."""

    def __init__(self, instance: str, processors: Processors) -> None:
        self._instance = instance
        self._processors = processors
        self._alive: dict[int, Child] = {}
        set_child_subreaper()

    def start(self, spec: GuardedSpec, on_all_processors: bool = False) -> Child:
        """Start a process with the mark of this instance; raises `process_not_started`.

        Where it runs on those for work alone, what serves visitors has the others (ADR 0032).
        """
        marked = replace(
            spec,
            marker=make_marker(self._instance),
            processors=self._processors.serving if on_all_processors else (),
        )
        child = Child(start_guarded(marked), self._processors)
        descriptor = child.process.fileno()
        self._alive[descriptor] = child
        asyncio.get_running_loop().add_reader(descriptor, self._read, descriptor)
        return child

    def record(self) -> dict[int, int]:
        """The pids of guards and processes that are alive, with their start times in ticks."""
        pids = [child.process.guard_pid for child in self._alive.values()]
        pids += [child.pid for child in self._alive.values() if child.pid is not None]
        entries = [read_process(pid) for pid in pids]
        return {entry.pid: entry.started for entry in entries if entry is not None}

    def kill_all(self) -> None:
        """End everything at once, without its time of grace."""
        for child in self._alive.values():
            child.process.kill()

    def _read(self, descriptor: int) -> None:
        child = self._alive[descriptor]
        process = child.process
        process.read_events()
        if process.pid is not None or process.failure is not None or process.gone:
            child.spawned.set()
        if process.gone:
            asyncio.get_running_loop().remove_reader(descriptor)
            del self._alive[descriptor]
            if process.guard_was_killed:
                end_adopted({each.process.guard_pid for each in self._alive.values()})
            child.gone.set()
