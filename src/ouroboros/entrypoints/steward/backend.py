"""The backend of one slot as systemd units.

The slot's port is held by `ouroboros-backend@<slot>.socket` from the first start to the stop, so
no request is lost while processes come and go. A candidate is a unit of its own on a private
port; promoted, it has been checked, and the slot's unit is started anew from what it ran. While
that takes place, connections wait in the held listener. All methods expect the caller to hold
the slot's lock and to have checked the fence.
"""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ouroboros.adapters.build_caches import remove_aside, set_aside_if_over
from ouroboros.adapters.supervisor_client import read_spec, write_spec
from ouroboros.adapters.systemd import systemctl
from ouroboros.adapters.systemd.files import (
    begin_log,
    environment_file,
    launch_environment,
    read_document,
    write_private,
)
from ouroboros.adapters.trees import empty_directory
from ouroboros.domain.egress import problem_with, refused
from ouroboros.domain.errors import BadInput, PreviewError, Refused, TimedOut
from ouroboros.domain.slot import Slot
from ouroboros.entrypoints.supervisor.serving import is_same
from ouroboros.plans.layout import Layout
from ouroboros.plans.units.branches import render_egress
from ouroboros.plans.units.places import RUNTIME_UNITS, SERVICE_USER
from ouroboros.ports import BackendSpec, BackendStatus

_ALIVE = ("active", "activating", "reloading", "deactivating")
_STATES = {"active": "running", "activating": "starting", "failed": "failed"}


class UnitBackend:
    """Runs what answers on one slot's API port."""

    def __init__(
        self, slot: Slot, directory: Path, layout: Layout, egress: str, share: str
    ) -> None:
        """`egress` is what the operator lets backends reach, if they ask for it.

        `share` is what one may use of a processor once it has started, in percent with the sign.
        """
        self.slot = slot
        self.lock = asyncio.Lock()
        self._egress = egress
        self._releases = layout.releases(slot)
        self._home = layout.home(slot)
        self._cache = layout.cache(slot)
        self._log = layout.backend_log(slot)
        self._live = _Unit(slot.backend_unit, directory / f"backend-{slot.alias}", share)
        self._candidate = _Unit(slot.candidate_unit, directory / f"candidate-{slot.alias}", share)

    def status(self, fence: int) -> BackendStatus:
        """What systemd says; `fence` is the highest this slot has seen."""
        status = BackendStatus(self.slot.id, "stopped", self.slot.api_port, fence=fence)
        if (spec := self._live.spec()) is not None:
            status = _with_live(status, spec, self._live.state())
        if (spec := self._candidate.spec()) is not None:
            status = _with_candidate(status, spec, self._candidate.state(), self.slot)
        return status

    async def start(self, spec: BackendSpec) -> None:
        """Run this spec; one that runs from another spec is ended first.

        Raises `bad_request` for a directory that is not of the slot, `unit_failed`.
        """
        self._require_own(spec)
        before = self._live.spec()
        running = self._live.state()["ActiveState"] in _ALIVE
        if before is not None and running and is_same(spec, before):
            return
        await asyncio.to_thread(self._candidate.stop)
        await asyncio.to_thread(self._live.start, spec)

    async def prepare(self, spec: BackendSpec) -> None:
        """Start a candidate on the slot's private port; raises as `start`."""
        self._require_own(spec)
        if spec.listen != "socket":
            raise Refused("candidate_impossible", "it binds its own port", "start it instead")
        await asyncio.to_thread(self._candidate.stop)
        await asyncio.to_thread(self._candidate.start, spec)

    async def promote(self, publish_id: str) -> None:
        """Start the slot's unit from what the candidate ran, then end the candidate.

        May be repeated. Raises `no_candidate`, `promotion_unproven`; after each of them the one
        before serves as it did.
        """
        spec, live = self._candidate.spec(), self._live.spec()
        if spec is None or spec.publish_id != publish_id:
            if live is not None and live.publish_id == publish_id:
                return
            raise Refused("no_candidate", f"{self.slot.id} has no candidate of {publish_id}")
        try:
            await asyncio.to_thread(self._live.start, spec, wait=True)
        except PreviewError as error:
            await asyncio.to_thread(self._go_back, live)
            raise TimedOut(
                "promotion_unproven", f"{spec.argv[0]} did not come up again: {error.message}",
                f"journalctl -u {self.slot.backend_unit} -n 50",
            ) from error  # fmt: skip
        await asyncio.to_thread(self._candidate.stop)

    async def discard(self) -> None:
        """End the candidate, if there is one."""
        await asyncio.to_thread(self._candidate.stop)

    async def park(self) -> None:
        """End everything of the slot but hold its port, where requests wait; may be repeated."""
        await asyncio.to_thread(self._candidate.stop)
        await asyncio.to_thread(self._live.park)

    async def stop(self) -> None:
        """End everything of the slot and let go of its port."""
        await asyncio.to_thread(self._candidate.stop)
        await asyncio.to_thread(self._live.stop)

    async def erase_home(self) -> None:
        """Remove what the slot's user kept in its home; the directory stays as it is."""
        await asyncio.to_thread(empty_directory, self._home)

    async def trim_caches(self, limit_bytes: int) -> int:
        """See `BackendRuntime.trim_caches`; what was set aside is removed behind the answer."""
        freed_bytes, aside = await asyncio.to_thread(set_aside_if_over, self._cache, limit_bytes)
        threading.Thread(target=remove_aside, args=(aside,), daemon=True).start()
        return freed_bytes

    def _go_back(self, before: BackendSpec | None) -> None:
        if before is None:
            self._live.stop()
        else:
            self._live.start(before)

    def _require_own(self, spec: BackendSpec) -> None:
        """A backend runs in a release of its own slot, writes its own log, and nothing else."""
        if not spec.cwd.is_relative_to(self._releases) or ".." in spec.cwd.parts:
            raise BadInput("bad_request", f"{spec.cwd} is no release of {self.slot.id}")
        if spec.log_path != self._log:
            raise BadInput("bad_request", f"{spec.log_path} is not the log of {self.slot.id}")
        self._require_egress(spec)

    def _require_egress(self, spec: BackendSpec) -> None:
        """The worker reads what branches wrote, so what it asks for is looked at again."""
        wrong = [each for each in spec.egress if problem_with(each) is not None]
        wrong = wrong or refused(spec.egress, self._egress)
        if wrong or (spec.egress and spec.listen != "socket"):
            raise Refused(
                "egress_not_allowed",
                f"{self.slot.id} may not be given {', '.join(wrong or spec.egress)}",
                "publish again, or change OUROBOROS_BACKEND_EGRESS",
            )


class _Unit:
    """A service with its socket, and the files that say what it runs."""

    def __init__(self, name: str, stem: Path, share: str) -> None:
        self._share = share
        self._service = f"{name}.service"
        self._socket = f"{name}.socket"
        self._drop_in = Path(RUNTIME_UNITS) / f"{name}.service.d" / "egress.conf"
        self._environment = stem.with_name(f"{stem.name}.env")
        self._document = stem.with_name(f"{stem.name}.json")

    def spec(self) -> BackendSpec | None:
        """What it was last started from; None when it is stopped."""
        document = read_document(self._document)
        if document is None:
            return None
        with contextlib.suppress(BadInput):
            return read_spec(document)
        return None

    def state(self) -> dict[str, str]:
        """What systemd says about the service."""
        return systemctl.show(self._service)

    def start(self, spec: BackendSpec, *, wait: bool = False) -> None:
        """Start it anew from a spec under the held listener; without `wait` until it runs."""
        begin_log(spec.log_path, SERVICE_USER)
        self._write_environment(_environment(spec))
        write_private(self._document, json.dumps(write_spec(spec)))
        self._open(spec.egress)
        self._start(wait=wait)
        deadline = time.monotonic() + 5.0
        while self.state()["ActiveState"] in ("inactive", "deactivating"):
            if time.monotonic() > deadline:
                return
            time.sleep(0.01)

    def park(self) -> None:
        """Let the unit run what accepts nothing: a listener alone would start the old one again."""
        self._write_environment(launch_environment((), Path("/"), "parked", {}))
        self._document.unlink(missing_ok=True)
        self._open(())
        self._start(wait=True)

    def _write_environment(self, values: Mapping[str, str]) -> None:
        values = {**values, "BACKEND_SHARE": self._share}
        write_private(self._environment, environment_file(values))

    def _open(self, egress: Sequence[str]) -> None:
        """Let the unit reach these networks from its next start on, and no other."""
        wanted = render_egress(egress) if egress else None
        present = self._drop_in.read_text("utf-8") if self._drop_in.exists() else None
        if wanted == present:
            return
        if wanted is None:
            self._drop_in.unlink()
        else:
            self._drop_in.parent.mkdir(mode=0o755, exist_ok=True)
            self._drop_in.parent.chmod(0o755)
            write_private(self._drop_in, wanted)
        systemctl.act("daemon-reload")

    def _start(self, *, wait: bool) -> None:
        systemctl.forget_failure(self._service, self._socket)
        systemctl.act("start", self._socket)
        systemctl.act("restart", self._service, wait=wait)

    def stop(self) -> None:
        """End it with everything that it forked, and let go of its port; may be repeated."""
        if self._document.exists() or self._environment.exists():
            systemctl.act("stop", self._socket, self._service)
            systemctl.forget_failure(self._service, self._socket)
            self._environment.unlink(missing_ok=True)
            self._document.unlink(missing_ok=True)
            self._open(())


def _environment(spec: BackendSpec) -> Mapping[str, str]:
    env = {**spec.env, "PREVIEW_HEALTH_PATH": spec.health_path}
    return launch_environment(spec.argv, spec.cwd, spec.listen, env)


def _with_live(status: BackendStatus, spec: BackendSpec, state: Mapping[str, Any]) -> BackendStatus:
    told = _STATES.get(state["ActiveState"], "stopped")
    restarting = state["SubState"].startswith("auto-restart")
    pid = int(state["MainPID"]) or None
    ended = state.get("ExecMainCode", "0") != "0" and pid is None
    return replace(
        status,
        state="backoff" if restarting else told,
        pid=pid,
        since=_started_at(state) if pid else None,
        restarts=int(state["NRestarts"]),
        last_exit=systemctl.exit_text(state) if ended else None,
        publish_id=spec.publish_id,
        run_id=spec.run_id,
        commit_sha=spec.commit_sha,
        log_path=spec.log_path,
        nonce=spec.env.get("PREVIEW_NONCE"),
    )


def _with_candidate(
    status: BackendStatus, spec: BackendSpec, state: Mapping[str, Any], slot: Slot
) -> BackendStatus:
    alive = state["ActiveState"] in _ALIVE
    return replace(
        status,
        candidate_port=slot.candidate_port if alive else None,
        candidate_state=_STATES.get(state["ActiveState"], "exited") if alive else "exited",
        candidate_publish_id=spec.publish_id,
        candidate_nonce=spec.env.get("PREVIEW_NONCE"),
        candidate_exit=None if alive else systemctl.exit_text(state),
    )


def _started_at(state: Mapping[str, str]) -> datetime | None:
    """ExecMainStartTimestamp, as `Tue 2026-11-24 01:02:03 UTC` on a host in UTC."""
    parts = state.get("ExecMainStartTimestamp", "").split()
    with contextlib.suppress(ValueError, IndexError):
        return datetime.fromisoformat(f"{parts[1]} {parts[2]}").astimezone(UTC)
    return None
