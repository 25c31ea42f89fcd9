"""The backend of one slot: its port, the live process, and the candidate beside it.

A candidate serves a private listener first; promoted, it serves the public one too, proves it
with its nonce, and only then the one before it drains. All methods expect the caller to hold the
slot's lock and to have checked the fence.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from signal import SIGUSR1

from ouroboros.adapters.listeners import require_free_port
from ouroboros.domain.errors import PreviewError, Refused
from ouroboros.domain.slot import Slot
from ouroboros.entrypoints.supervisor.candidate import (
    not_ready,
    start_candidate,
    unproven,
    with_candidate,
)
from ouroboros.entrypoints.supervisor.children import Children
from ouroboros.entrypoints.supervisor.held_port import HeldPort
from ouroboros.entrypoints.supervisor.loaded import LoadedRelease
from ouroboros.entrypoints.supervisor.serving import Serving, is_same, start_serving
from ouroboros.entrypoints.supervisor.watch import Patience
from ouroboros.ports import BackendSpec, BackendStatus

_READY_WAIT_S = 10.0
_LEAVING_WAIT_S = 1.0
_DEATHS_UNTIL_FAILED = 5


class SlotBackend:
    """Runs what answers on one slot's API port."""

    def __init__(
        self,
        slot: Slot,
        children: Children,
        changed: Callable[[], None],
        patience: Patience | None = None,
        keep_loaded_s: float = 0,
    ) -> None:
        self.slot = slot
        self.lock = asyncio.Lock()
        self._children = children
        self._changed = changed
        self._patience = patience or Patience()
        self._port = HeldPort(slot.api_port)
        self._live: Serving | None = None
        self._candidate: Serving | None = None
        self._loaded = LoadedRelease(children, changed, self._patience.loading_s, keep_loaded_s)
        self._leaving: set[asyncio.Task[None]] = set()
        self._reviver: asyncio.Task[None] | None = None
        self._spec: BackendSpec | None = None
        self._deaths = 0
        self._restarts = 0
        self._last_exit: str | None = None
        self._failed = False
        self._parked = False

    def status(self, fence: int) -> BackendStatus:
        """What runs; `fence` is the highest this slot has seen."""
        status = BackendStatus(
            self.slot.id,
            self._state(),
            self.slot.api_port,
            restarts=self._restarts,
            last_exit=self._last_exit,
            fence=fence,
            loaded_publish_id=self._loaded.publish_id,
        )
        if self._spec is not None:
            status = replace(
                status,
                publish_id=self._spec.publish_id,
                run_id=self._spec.run_id,
                commit_sha=self._spec.commit_sha,
                log_path=self._spec.log_path,
            )
        if self._live is not None:
            live = self._live
            status = replace(status, pid=live.child.pid, since=live.since, nonce=live.nonce)
        return status if self._candidate is None else with_candidate(status, self._candidate)

    async def start(self, spec: BackendSpec) -> None:
        """Run this spec; one that runs from another spec is ended first.

        Raises `port_in_use`, `process_not_started`.
        """
        if self._live is not None and is_same(spec, self._live.spec):
            return
        await self._end_all()
        self._port.stop_apologizing()
        self._forget()
        self._parked = False
        self._spec = spec
        try:
            if spec.listen == "port":
                self._port.release()
            await self._start_live(spec)
        except PreviewError:
            self._port.release()
            self._forget()
            raise
        finally:
            self._changed()

    async def prepare(self, spec: BackendSpec) -> None:
        """Start a candidate on a private port; raises `candidate_impossible`, `port_in_use`."""
        if spec.listen != "socket" or (self._spec is not None and self._spec.listen != "socket"):
            raise Refused(
                "candidate_impossible",
                "a backend that binds its own port cannot run beside its successor",
                "start it instead: the one before is ended first",
            )
        await self._end_candidate()
        try:
            candidate = await self._loaded.take(spec) or await start_candidate(
                spec, self._children, self._port.hold()
            )
        except PreviewError:
            self._release_unused_port()
            raise
        candidate.follow(self._changed, lambda _: self._changed())
        self._candidate = candidate
        self._changed()

    async def promote(self, publish_id: str) -> None:
        """Let the candidate take the port, then drain and end the one before it.

        Returns when the one before accepts nothing any more: what it has, it answers behind. May be
        repeated. Raises `no_candidate`, `candidate_not_ready`, `promotion_unproven`; after each of
        them the one before serves as it did.
        """
        candidate = self._candidate
        if candidate is None or candidate.spec.publish_id != publish_id:
            if self._live is not None and self._live.spec.publish_id == publish_id:
                return
            raise Refused("no_candidate", f"{self.slot.id} has no candidate of {publish_id}")
        # Before it is ready it has no handler for the signal, which would be its end.
        if not await candidate.wait_ready(_READY_WAIT_S):
            raise not_ready(candidate, self.slot)
        self._port.stop_apologizing()
        candidate.child.process.signal(SIGUSR1)
        if not await candidate.proves_itself_on(self.slot.api_port, self._patience.promotion_s):
            await self._end_candidate()
            if self._failed:
                await self._port.apologize()
            raise unproven(candidate, self.slot, self._patience.promotion_s)
        candidate.child.serve()
        await self._cancel_reviver()
        before, self._live, self._candidate = self._live, candidate, None
        self._forget()
        self._parked = False
        self._spec = candidate.spec
        candidate.follow(self._changed, self._note_death)
        if before is not None:
            before.child.leave()
            leaving = asyncio.create_task(before.end())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
            await before.accepts_no_more(self.slot.api_port, _LEAVING_WAIT_S)
            self._loaded.keep(before.spec, self._port.hold())
        self._changed()

    async def discard(self) -> None:
        """End the candidate, if there is one."""
        await self._end_candidate()
        self._release_unused_port()
        self._changed()

    async def park(self) -> None:
        """End everything of the slot but hold its port, where requests wait; may be repeated.

        Raises `port_in_use`.
        """
        self._port.stop_apologizing()
        self._port.hold()
        self._parked = True
        await self._end_all()
        self._forget()
        self._changed()

    async def stop(self) -> None:
        """End everything of the slot and let go of its port."""
        await self._end_all()
        self._parked = False
        self._port.release()
        self._forget()
        self._changed()

    async def erase_home(self) -> None:
        """Nothing: in local mode one user owns all, and the client removes the home itself."""

    async def trim_caches(self, limit_bytes: int) -> int:  # noqa: ARG002
        """Nothing, for the same reason."""
        return 0

    def _forget(self) -> None:
        self._spec = None
        self._deaths = 0
        self._restarts = 0
        self._last_exit = None
        self._failed = False

    def _state(self) -> str:
        if self._live is not None:
            return self._live.state
        if self._failed:
            return "failed"
        return "backoff" if self._reviver is not None else "stopped"

    async def _start_live(self, spec: BackendSpec) -> None:
        if spec.listen == "port":
            require_free_port(self.slot.api_port)
        listeners = () if spec.listen == "port" else (self._port.hold(),)
        live = await start_serving(spec, self._children, listeners, self.slot.api_port)
        self._live = live
        live.follow(lambda: self._note_readiness(live), self._note_death)

    def _note_readiness(self, live: Serving) -> None:
        live.child.serve()
        self._changed()

    def _note_death(self, serving: Serving) -> None:
        if self._live is not serving:
            return
        lived_s = (datetime.now(UTC) - serving.since).total_seconds()
        self._deaths = 1 if lived_s > self._patience.well_after_s else self._deaths + 1
        self._last_exit = serving.child.exit_text
        self._live = None
        self._reviver = asyncio.create_task(self._revive(serving.spec))
        self._changed()

    async def _revive(self, spec: BackendSpec) -> None:
        """Start it again after a wait; after five quick deaths in a row, give up."""
        while self._deaths < _DEATHS_UNTIL_FAILED:
            await asyncio.sleep(self._patience.delay_s(self._deaths))
            self._restarts += 1
            try:
                await self._start_live(spec)
                break
            except PreviewError as error:
                self._deaths += 1
                self._last_exit = str(error)
        else:
            self._failed = True
            await self._port.apologize()
        self._reviver = None
        self._changed()

    async def _end_all(self) -> None:
        await self._loaded.end()
        await self._end_candidate()
        await self._end_live()

    async def _end_live(self) -> None:
        await self._cancel_reviver()
        live, self._live = self._live, None
        if live is not None:
            await live.end()
        if self._leaving:
            await asyncio.wait(self._leaving)

    async def _end_candidate(self) -> None:
        candidate, self._candidate = self._candidate, None
        if candidate is not None:
            await candidate.end()

    async def _cancel_reviver(self) -> None:
        reviver, self._reviver = self._reviver, None
        if reviver is not None:
            reviver.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reviver

    def _release_unused_port(self) -> None:
        if self._spec is None and not self._parked:
            self._port.release()
