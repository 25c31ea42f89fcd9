"""The backends of all slots, behind their fences.

The highest fence that a slot has seen is kept in the state directory, not in `run/`, because a
worker that was frozen may wake up after any number of restarts.
"""

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ouroboros.adapters.supervisor_client import read_spec, write_status
from ouroboros.domain.errors import BadInput, Refused
from ouroboros.domain.slot import Slot, SlotPool
from ouroboros.ports import BackendSpec, BackendStatus


class Fences:
    """The highest fence of each slot; what was accepted once is on disk before it acts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._highest: dict[str, int] = {}
        try:
            stored = json.loads(path.read_bytes())
            self._highest = {str(slot): int(fence) for slot, fence in stored.items()}
        except FileNotFoundError:
            pass

    def highest(self, slot_id: str) -> int:
        """The highest fence that a slot has seen; 0 before the first."""
        return self._highest.get(slot_id, 0)

    def require(self, slot_id: str, fence: int) -> None:
        """Accept a fence that is not lower than any before; raises `stale_fence`."""
        highest = self.highest(slot_id)
        if fence < highest:
            raise Refused(
                "stale_fence",
                f"fence {fence} of {slot_id} is old, the slot has seen {highest}",
                "the lease was lost: allocate a slot again",
                {"slot_id": slot_id, "fence": fence, "highest_fence": highest},
            )
        if fence > highest:
            self._store({**self._highest, slot_id: fence})

    def _store(self, highest: dict[str, int]) -> None:
        draft = self._path.with_name(f".{self._path.name}.next")
        with draft.open("w", encoding="utf-8") as file:
            json.dump(highest, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        self._highest = highest


class RunsBackend(Protocol):
    """One slot's backend: guarded processes in local mode, systemd units on a host."""

    slot: Slot
    lock: asyncio.Lock

    def status(self, fence: int) -> BackendStatus:
        """What runs; `fence` is the highest this slot has seen."""
        ...

    async def start(self, spec: BackendSpec) -> None:
        """See `BackendRuntime.start`."""
        ...

    async def prepare(self, spec: BackendSpec) -> None:
        """See `BackendRuntime.prepare`."""
        ...

    async def promote(self, publish_id: str) -> None:
        """See `BackendRuntime.promote`."""
        ...

    async def discard(self) -> None:
        """See `BackendRuntime.discard`."""
        ...

    async def stop(self) -> None:
        """See `BackendRuntime.stop`."""
        ...

    async def park(self) -> None:
        """See `BackendRuntime.park`."""
        ...

    async def erase_home(self) -> None:
        """See `BackendRuntime.erase_home`."""
        ...

    async def trim_caches(self, limit_bytes: int) -> int:
        """See `BackendRuntime.trim_caches`."""
        ...


class Backends:
    """Answers the requests about backends, one at a time for each slot."""

    def __init__(self, pool: SlotPool, backends: Mapping[str, RunsBackend], fences: Fences) -> None:
        self._pool = pool
        self._backends = backends
        self._fences = fences

    async def answer(self, verb: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a request asks and tell the backend's status then."""
        slot = self._pool.parse(str(request.get("slot", "")))
        backend = self._backends[slot.id]
        told: dict[str, Any] = {}
        if verb != "status":
            async with backend.lock:
                told = await self._act(backend, verb, request) or {}
        return {"backend": write_status(backend.status(self._fences.highest(slot.id))), **told}

    def documents(self) -> list[dict[str, Any]]:
        """The status of every slot's backend."""
        return [
            write_status(backend.status(self._fences.highest(slot_id)))
            for slot_id, backend in self._backends.items()
        ]

    async def stop_all(self) -> None:
        """End every backend, whatever the fences say: the whole instance ends."""

        async def stop(backend: RunsBackend) -> None:
            async with backend.lock:
                await backend.stop()

        await asyncio.gather(*map(stop, self._backends.values()))

    async def _act(
        self, backend: RunsBackend, verb: str, request: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        match verb, request:
            case "start" | "prepare", {"spec": dict(document)}:
                spec = read_spec(document)
                self._fences.require(backend.slot.id, spec.fence)
                await (backend.start(spec) if verb == "start" else backend.prepare(spec))
            case "promote", {"publish_id": str(publish_id), "fence": int(fence)}:
                self._fences.require(backend.slot.id, fence)
                await backend.promote(publish_id)
            case "discard", {"fence": int(fence)}:
                self._fences.require(backend.slot.id, fence)
                await backend.discard()
            case "park", {"fence": int(fence)}:
                self._fences.require(backend.slot.id, fence)
                await backend.park()
            case "stop", {"fence": int(fence)}:
                self._fences.require(backend.slot.id, fence)
                await backend.stop()
            case "erase", {"fence": int(fence)}:
                self._fences.require(backend.slot.id, fence)
                await backend.erase_home()
            case "trim", {"fence": int(fence), "limit_bytes": int(limit_bytes)}:
                self._fences.require(backend.slot.id, fence)
                return {"freed_bytes": await backend.trim_caches(limit_bytes)}
            case _:
                raise BadInput("bad_request", f"backend.{verb} is no request, or lacks its values")
        return None
