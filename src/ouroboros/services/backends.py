"""Backends of slots: what to run for a release in the slot it is for, and the five verbs."""

import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ouroboros.adapters.control.slots import SlotReader
from ouroboros.adapters.http_probe import ask
from ouroboros.adapters.release_files import read_release
from ouroboros.adapters.web_roots import WebRoots
from ouroboros.domain.application import fill
from ouroboros.domain.errors import Failed, Refused, TimedOut, Unhealthy
from ouroboros.domain.slot import Slot
from ouroboros.plans.environment import backend_environment, base_environment
from ouroboros.plans.layout import Layout
from ouroboros.ports import BackendRuntime, BackendSpec, BackendStatus
from ouroboros.services.binding import placeholders, require_bound, resolve_argv
from ouroboros.services.databases import SlotDatabases
from ouroboros.services.holding import visitors_held_back
from ouroboros.services.released_backend import ReleasedBackend, released_backend

_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Backends:
    """The use cases with what they need."""

    runtime: BackendRuntime
    databases: SlotDatabases
    slots: SlotReader
    web_roots: WebRoots
    layout: Layout
    tools_path: str
    ready_limit_s: float

    def environment(self, slot: Slot, worktree: Path, run_id: str, commit: str) -> dict[str, str]:
        """The environment of the slot's backend and migrations (CONTRACT)."""
        return backend_environment(
            base_environment(self.tools_path, self.layout.home(slot)),
            slot,
            worktree=worktree,
            database_url=self.databases.url(slot),
            run_id=run_id,
            commit=commit,
        )

    def spec(self, slot: Slot, worktree: Path, released: ReleasedBackend) -> BackendSpec:
        """How to run a release's backend in a slot.

        Raises `slot_database_mismatch` or `unsafe_database_target` when the application would
        use another database than the slot's.
        """
        environment = self.environment(slot, worktree, released.run_id, released.commit_sha)
        values = placeholders(slot, environment)
        environment |= {name: fill(value, values) for name, value in released.backend.env.items()}
        require_bound(slot, environment, self.databases.url(slot).text())
        environment["PREVIEW_NONCE"] = secrets.token_hex(16)
        return BackendSpec(
            argv=resolve_argv(released.backend.start, released.directory, values),
            cwd=released.directory,
            env=environment,
            listen=released.backend.listen,
            health_path=released.backend.health,
            log_path=self.layout.backend_log(slot),
            publish_id=released.publish_id,
            run_id=released.run_id,
            commit_sha=released.commit_sha,
            fence=released.fence,
            egress=released.backend.egress,
        )

    def live(self, slot: Slot) -> ReleasedBackend | None:
        """The backend of the slot's live release; None when it has none."""
        release = self.web_roots.live_release(slot)
        return None if release is None else released_backend(release, read_release(release))

    def start(self, slot: Slot, run_id: str | None = None) -> dict[str, Any]:
        """Start the live release's backend and wait until it is healthy; no error when it runs.

        Raises `nothing_published`, `backend_start_failed`, `backend_not_ready`, and `lease_lost`
        when the lease it was published under has ended, or is not the given run's.
        """
        self.begin_start(slot, run_id)
        return self._ready(slot)

    def begin_start(self, slot: Slot, run_id: str | None = None) -> None:
        """Start the live release's backend without waiting for it.

        Raises `nothing_published`, `lease_lost`, `slot_busy` while a publish has the database
        changed.
        """
        self._start(slot, self._live_spec(slot, run_id))

    def restart(self, slot: Slot, run_id: str | None = None) -> dict[str, Any]:
        """Restart the live release's backend and wait until it is healthy; raises as `start`."""
        fence = self._live_spec(slot, run_id).fence  # refused before anybody is made to wait
        with visitors_held_back(self.web_roots, slot, fence):
            spec = self._live_spec(slot, run_id)  # a publish may have become ready meanwhile
            # Where the listener is inherited it is held meanwhile, and requests wait in it.
            end = self.runtime.park if spec.listen == "socket" else self.runtime.stop
            end(slot, spec.fence)
            self._start(slot, spec)
        return self._ready(slot)

    def stop(self, slot: Slot, run_id: str | None = None) -> dict[str, Any]:
        """Stop everything of the slot's backend; no error when it is stopped.

        With a run only under the lease it has now (`lease_lost`, `stale_fence`).
        """
        if run_id is None:
            fence = self.runtime.status(slot).fence
        else:
            fence = self.slots.require_holder(slot, run_id)
        return self._described(slot, self.runtime.stop(slot, fence))

    def status(self, slot: Slot) -> dict[str, Any]:
        """What runs behind the slot's API port."""
        return self._described(slot, self.runtime.status(slot))

    def health(self, slot: Slot) -> dict[str, Any]:
        """Ask the backend for its health; raises `backend_unhealthy`."""
        described = self.status(slot)
        if described["health"] != "ok":
            raise Unhealthy(
                "backend_unhealthy",
                f"the backend of {slot.id} is {described['state']}: {described['health']}",
                f"scripts/preview-backend-runtime.sh restart --slot {slot.id}; "
                f"log: {described['log_file']}",
                described,
            )
        return described

    def _ready(self, slot: Slot) -> dict[str, Any]:
        """Wait until the backend is healthy, or cannot become so."""
        deadline = time.monotonic() + self.ready_limit_s
        while True:
            described = self.status(slot)
            if described["health"] == "ok":
                return described
            hint = f"the backend's log: {described['log_file']}"
            if described["state"] == "failed":
                raise Failed(
                    "backend_start_failed",
                    f"the backend of {slot.id} ended at start: {described['last_exit']}",
                    hint,
                    described,
                )
            if time.monotonic() > deadline:
                raise TimedOut(
                    "backend_not_ready",
                    f"the backend of {slot.id} is not healthy after {self.ready_limit_s:.0f} s",
                    hint,
                    described,
                )
            time.sleep(_POLL_S)

    def _require_own_schema(self, slot: Slot) -> None:
        """Refuse to run live code on a database that a publish has migrated for its successor."""
        if self.databases.is_being_changed(slot):
            raise Refused(
                "slot_busy",
                f"a publish is migrating {slot.database.name}; it brings a backend itself",
                "ouroboros publishes shows it; ouroboros cancel ends it",
                {"slot_id": slot.id},
            )

    def _start(self, slot: Slot, spec: BackendSpec) -> None:
        """Start it, and end it again when it may not run any more: raises as `begin_start`.

        Who ends a lease, changes a schema or switches a release looks after what runs when that
        is done, which may have been just before ours began; so we look again after it has.
        """
        self.runtime.start(slot, spec)
        try:
            now = self._live_spec(slot, spec.run_id)
        except Refused as refused:
            end = self.runtime.stop
            if refused.code == "slot_busy" and spec.listen == "socket":
                end = self.runtime.park  # the publish that holds visitors there goes on
            with suppress(Refused):  # the next holder has begun already, and ended ours with that
                end(slot, spec.fence)
            raise
        if now.publish_id != spec.publish_id:
            self._start(slot, now)

    def _live_spec(self, slot: Slot, run_id: str | None) -> BackendSpec:
        """What to run now, for a run only under its lease; raises as `begin_start`."""
        self._require_own_schema(slot)
        if run_id is not None:
            self.slots.require_holder(slot, run_id)
        released = self.live(slot)
        if released is None:
            raise Refused(
                "nothing_published",
                f"{slot.id} has no live release with a backend",
                "ouroboros publish --run-id R --repo PATH --ref REF",
                {"slot_id": slot.id},
            )
        worktree = self.layout.release(slot, released.publish_id) / "src"
        return self.spec(slot, worktree, released)

    def _described(self, slot: Slot, status: BackendStatus) -> dict[str, Any]:
        released = self.live(slot)
        health = "stopped"
        if status.state in ("running", "starting"):
            path = released.backend.health if released else "/health"
            answer = ask(slot.api_port, path, time_limit_s=3.0)
            health = "ok" if answer.status == 200 else f"{answer.status or answer.body}"
        return {
            "slot_id": slot.id,
            "state": status.state,
            "running": status.state in ("running", "starting"),
            "pid": status.pid,
            "port": slot.api_port,
            "url": slot.backend_url,
            "since": status.since,
            "restarts": status.restarts,
            "last_exit": status.last_exit,
            "publish_id": status.publish_id,
            "run_id": status.run_id,
            "commit_sha": status.commit_sha,
            "db_name": slot.database.name,
            "health": health,
            "log_file": str(self.layout.backend_log(slot)),
        }
