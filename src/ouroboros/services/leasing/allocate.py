"""Allocate: lock a slot for a run and bring its database to a known state, as one flow.

A slot is emptied when the next run enters it, not when the last one left: a release never waits
on a teardown, and a teardown that failed cannot be forgotten. When the reset fails nothing stays
leased.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ouroboros.adapters.control.leases import Claim, LeaseStore
from ouroboros.adapters.control.slots import SlotReader
from ouroboros.adapters.web_roots import WebRoots
from ouroboros.domain.errors import Failed, PreviewError, Refused, WaitingForSlot
from ouroboros.domain.lease import Lease, Waiting
from ouroboros.domain.reset import Source
from ouroboros.ports import BackendRuntime
from ouroboros.services.databases import SlotDatabases

Wakeup = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Allocation:
    """A run that holds a slot whose database stands in the state it asked for."""

    lease: Lease
    already_held: bool
    reset: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Allocator:
    """The use case with what it needs."""

    leases: LeaseStore
    slots: SlotReader
    databases: SlotDatabases
    backends: BackendRuntime
    web_roots: WebRoots

    def plan(self, run_id: str, source: Source) -> dict[str, Any]:
        """What `allocate` would do now; changes nothing."""
        steps = [f"check that {_named(source)} exists"]
        free = [slot for slot in self.slots.all() if slot["state"] == "free"]
        held = [slot for slot in self.slots.all() if slot["run_id"] == run_id]
        found = self.databases.check(source)
        if held:
            steps.append(f"answer with {held[0]['slot_id']}, which the run holds already")
        elif free:
            steps.append(f"lease {free[0]['slot_id']} to {run_id} with the next fence")
            steps.append(f"stop what the last run left and reset {free[0]['db_name']}")
        else:
            steps.append(f"no slot is free: {run_id} would wait behind {len(self.slots.queue())}")
        return {"steps": steps, "source": found}

    def allocate(
        self,
        run_id: str,
        branch: str,
        source: Source,
        *,
        priority: int = 0,
        wait_s: float = 0.0,
        wake: Wakeup = time.sleep,
        enters_queue: bool = True,
    ) -> Allocation:
        """Give the run a slot, or raise `waiting_for_slot` after `wait_s` seconds.

        Idempotent per run: a run that holds a slot gets the same one, and its database is not
        reset again. `wake(seconds)` returns early when a slot may have become free. Raises
        `left_queue` when the run is taken out of the queue meanwhile, or was before and
        `enters_queue` is false.
        """
        held = self.leases.claim(run_id)
        if held is not None and held.is_reset:
            return Allocation(held.lease, already_held=True, reset=self._last_reset(held))
        self.databases.check(source)
        if enters_queue:
            self.leases.enqueue(run_id, branch, priority)
        claim = self._wait(run_id, time.monotonic() + wait_s, wake)
        if claim.is_reset:
            return Allocation(claim.lease, already_held=True, reset=self._last_reset(claim))
        return self._enter(claim.lease, source)

    def _wait(self, run_id: str, deadline: float, wake: Wakeup) -> Claim:
        while True:
            self.leases.turn()
            if (claim := self.leases.claim(run_id)) is not None:
                return claim
            waiting = self.leases.waiting(run_id)
            if waiting.position == 0:
                # It was granted a slot between the two looks, or taken out of the queue.
                if (claim := self.leases.claim(run_id)) is not None:
                    return claim
                raise _left_queue(run_id)
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise _waiting(waiting, self.slots.queue())
            wake(min(remaining, 2.0))

    def _enter(self, lease: Lease, source: Source) -> Allocation:
        try:
            with self.slots.exclusive_work(lease.slot):
                return self._reset_for(lease, source)
        except PreviewError as error:
            if error.code == "slot_busy":
                # Perhaps another request of this run is at it; to ask again is safe.
                error.details["leased"] = True
            else:
                self._give_back(lease, error)
            raise
        except OSError as error:
            failed = Failed("host_error", f"{error.filename}: {error.strerror}", "df -h")
            self._give_back(lease, failed)
            raise failed from error

    def _reset_for(self, lease: Lease, source: Source) -> Allocation:
        claim = self.leases.claim(lease.run_id)
        if claim is None or claim.lease.fence != lease.fence or claim.lease.slot != lease.slot:
            raise Refused(
                "lease_lost",
                f"run {lease.run_id} lost {lease.slot.id} before it was reset",
                "allocate again",
            )
        if claim.is_reset:
            return Allocation(claim.lease, already_held=True, reset=self._last_reset(claim))
        self._empty(claim.lease)
        report = self.databases.reset(lease.slot, source, run_id=lease.run_id, fence=lease.fence)
        self.leases.mark_reset(lease)
        self.web_roots.tell_data(lease.slot, lease.fence, report.fingerprint)
        return Allocation(
            claim.lease,
            already_held=False,
            reset={
                "id": report.reset_id,
                "status": "completed",
                "strategy": source.strategy,
                "seed_version": source.seed_version,
                "snapshot_version": source.snapshot_version,
                "path": report.path,
                "fingerprint": report.fingerprint,
                "duration_ms": round(report.duration_ms, 1),
            },
        )

    def _empty(self, lease: Lease) -> None:
        """Take away what the last run left: its page, its processes and its home."""
        with self.leases.under_fence(lease.slot, lease.fence):
            self.web_roots.clear(lease.slot, lease.fence)
            self.web_roots.tell(
                lease.slot, lease.fence, "building", run_id=lease.run_id, step="reset"
            )
        self.backends.stop(lease.slot, lease.fence)
        self.backends.erase_home(lease.slot, lease.fence)

    def _give_back(self, lease: Lease, error: PreviewError) -> None:
        """End this very lease and no later one; the error says that nothing is leased."""
        error.details.setdefault("slot_id", lease.slot.id)
        error.details["leased"] = False
        # A page that cannot be told must not keep the lease.
        with (
            suppress(PreviewError, OSError),
            self.leases.under_fence(lease.slot, lease.fence),
        ):
            self.web_roots.tell(lease.slot, lease.fence, "free")
        with suppress(PreviewError):
            self.leases.release(lease.slot, lease.run_id, error.code, lease.fence)

    def _last_reset(self, claim: Claim) -> dict[str, Any]:
        rows = self.slots.resets(claim.lease.slot, limit=1)
        row = rows[0] if rows else {}
        return {
            "id": row.get("id"),
            "status": row.get("reset_status"),
            "strategy": row.get("strategy"),
            "seed_version": row.get("seed_version"),
            "snapshot_version": row.get("snapshot_version"),
            "fingerprint": (row.get("details") or {}).get("fingerprint"),
        }


def _named(source: Source) -> str:
    return f"{source.strategy} {source.version}"


def _left_queue(run_id: str) -> Refused:
    return Refused(
        "left_queue",
        f"run {run_id} was taken out of the queue",
        "allocate again to enter it at its end",
        {"run_id": run_id},
    )


def _waiting(waiting: Waiting, queue: list[dict[str, Any]]) -> WaitingForSlot:
    own = next((row for row in queue if row["run_id"] == waiting.run_id), None)
    return WaitingForSlot(
        "waiting_for_slot",
        f"every slot is taken; {waiting.run_id} is number {waiting.position} in the queue",
        "add --wait, or ask again: the place in the queue is kept",
        {
            "run_id": waiting.run_id,
            "queue_reason": "WAITING_FOR_SLOT",
            "position": waiting.position,
            "estimated_at": own["estimated_at"] if own else None,
            "holders": [
                {"slot_id": h.slot_id, "run_id": h.run_id, "expires_at": h.expires_at}
                for h in waiting.holders
            ],
        },
    )
