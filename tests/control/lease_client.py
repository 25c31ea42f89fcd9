"""A client of the lease soak: picks operations at random and writes down what came of them.

It keeps leases that it has lost in mind and goes on acting under them, which is what a worker
does that was frozen and does not know it.
"""

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ouroboros.adapters.control.connection import open_pool
from ouroboros.adapters.control.leases import LeaseStore
from ouroboros.adapters.control.publishes import PublishStore
from ouroboros.adapters.web_roots import WebRoots
from ouroboros.domain.errors import PreviewError, Unhealthy
from ouroboros.domain.lease import Lease
from ouroboros.domain.publish import Publish, PublishState
from ouroboros.domain.slot import SlotPool

RUNS = 96
REMEMBERED = 4
_INSERT = "INSERT INTO soak_writes (slot, run, fence) VALUES (%s, %s, %s)"


@dataclass(frozen=True)
class Stores:
    """What a client acts through: the code under test."""

    leases: LeaseStore
    publishes: PublishStore
    roots: WebRoots
    directory: Path


@contextmanager
def open_stores(dsn: str, slots: SlotPool, ttl_s: float, directory: Path) -> Iterator[Stores]:
    """Stores over a connection of this process alone."""
    pool = open_pool(dsn, "soak", max_size=1)
    try:
        leases = LeaseStore(pool, slots, ttl_s=ttl_s, claim_ttl_s=ttl_s, host="local")
        yield Stores(leases, PublishStore(pool, slots), WebRoots(directory), directory)
    finally:
        pool.close()


class Client:
    """One client; several may act for the same run, as a run's tools do."""

    def __init__(self, number: int, stores: Stores, path: Path, seed: int) -> None:
        self._stores = stores
        self._file = path.open("w", buffering=1)
        self._random = random.Random(seed)
        self._run = f"run-{number}"
        self._held: list[Lease] = []
        self._publishes: list[Publish] = []
        self._actions: list[tuple[int, Callable[[], None]]] = [
            (14, self._allocate),
            (20, self._heartbeat),
            (22, self._write),
            (6, self._switch),
            (6, self._release),
            (2, self._leave),
            (3, self._reap),
            (5, self._queue_publish),
            (5, self._claim_publish),
            (10, self._step),
            (5, self._finish),
            (1, self._adopt),
            (1, self._idle),
        ]

    def act(self) -> None:
        """One operation, now and then for another run."""
        if self._random.random() < 0.05:
            self._run = f"run-{self._random.randrange(RUNS)}"
        weights = [weight for weight, _ in self._actions]
        self._random.choices(self._actions, weights)[0][1]()

    def _allocate(self) -> None:
        def ask() -> Lease | None:
            leases = self._stores.leases
            claim = leases.claim(self._run)
            if claim is None:
                leases.enqueue(self._run, "main", self._random.choice((0, 0, 0, 5)))
                leases.turn()
                claim = leases.claim(self._run)
            return claim.lease if claim else None

        lease = self._note("allocate", ask)
        if lease is not None:
            self._held = [*self._held, lease][-REMEMBERED:]

    def _heartbeat(self) -> None:
        if lease := self._any_lease():
            self._note("heartbeat", lambda: self._stores.leases.heartbeat(lease.slot, lease.run_id))

    def _write(self) -> None:
        """A write to a table that the fence guards."""
        if lease := self._any_lease():
            self._note("write", lambda: self._under(lease, switch=False))

    def _switch(self) -> None:
        """A write to something outside PostgreSQL that the fence guards."""
        if lease := self._any_lease():
            self._note("switch", lambda: self._under(lease, switch=True))

    def _under(self, lease: Lease, *, switch: bool) -> Lease:
        with self._stores.leases.under_fence(lease.slot, lease.fence) as db:
            if switch:
                release = self._stores.directory / "releases" / f"{lease.fence}"
                self._stores.roots.switch(lease.slot, release, lease.fence)
            db.execute(_INSERT, (lease.slot.id, lease.run_id, lease.fence))
        return lease

    def _release(self) -> None:
        if lease := self._any_lease():

            def ask() -> dict[str, Any]:
                ended = self._stores.leases.release(lease.slot, lease.run_id)
                return {"slot": ended.slot.id, "run": ended.run_id, "fence": ended.fence}

            self._note("release", ask)

    def _leave(self) -> None:
        self._note("leave", lambda: self._stores.leases.leave_queue(self._run) and None)

    def _reap(self) -> None:
        begin_ns = time.monotonic_ns()
        expired: list[Any] = []
        self._note("reap", lambda: expired.extend(self._stores.leases.turn()))
        for ended in expired:
            proof = {"slot": ended.slot.id, "run": ended.run_id, "fence": ended.fence}
            self._write_down("expire", begin_ns, ok=True, **proof)

    def _queue_publish(self) -> None:
        if lease := self._any_lease():
            self._note("reset", lambda: self._stores.leases.mark_reset(lease) or lease)
            queue = self._stores.publishes.queue
            self._note("queue", lambda: queue(lease.run_id, "/repo", "main") and None)

    def _claim_publish(self) -> None:
        found: list[Publish] = []

        def ask() -> None:
            publish = self._stores.publishes.claim()
            if publish is not None:
                found.append(publish)

        self._note("claim", ask)
        self._publishes = [*self._publishes, *found][-REMEMBERED:]

    def _step(self) -> None:
        if publish := self._any_publish():
            store, step = self._stores.publishes, self._random.choice(("source", "switch"))
            self._note("begin_step", lambda: store.begin_step(publish, step, 1) or publish)
            self._note(
                "end_step",
                lambda: store.end_step(publish, step, succeeded=True, result={}) or publish,
            )

    def _finish(self) -> None:
        if publish := self._any_publish():
            store = self._stores.publishes
            if self._random.random() < 0.5:
                self._note("finish", lambda: store.finish_ready(publish) or publish)
            else:
                self._note(
                    "fail",
                    lambda: store.finish_otherwise(publish, PublishState.FAILED, None, None),
                )

    def _adopt(self) -> None:
        """Continue what a killed client left running, as the next worker does."""

        def ask() -> None:
            self._publishes = self._stores.publishes.unfinished()[-REMEMBERED:]

        self._note("adopt", ask)

    def _idle(self) -> None:
        begin_ns = time.monotonic_ns()
        time.sleep(self._random.choice((0.1, 0.6)))
        self._write_down("idle", begin_ns, ok=True)

    def _any_lease(self) -> Lease | None:
        """Mostly the newest; now and then one that may be long lost."""
        if not self._held:
            return None
        return self._held[-1] if self._random.random() < 0.7 else self._random.choice(self._held)

    def _any_publish(self) -> Publish | None:
        return self._random.choice(self._publishes) if self._publishes else None

    def _note(self, op: str, ask: Callable[[], Any]) -> Any:
        """Do it and write down what came of it; returns what it returned."""
        begin_ns = time.monotonic_ns()
        try:
            found = ask()
        except Unhealthy as error:
            self._write_down(op, begin_ns, ok=None, why=error.code)
            return None
        except PreviewError as error:
            self._write_down(op, begin_ns, ok=False, why=error.code)
            return None
        match found:
            case Lease() | Publish():
                proof = {"slot": found.slot.id, "run": found.run_id, "fence": found.fence}
                self._write_down(op, begin_ns, ok=True, **proof)
            case dict():
                self._write_down(op, begin_ns, ok=True, **found)
            case _:
                self._write_down(op, begin_ns, ok=True)
        return found

    def _write_down(self, op: str, begin_ns: int, **row: Any) -> None:
        times = {"begin_ns": begin_ns, "end_ns": time.monotonic_ns()}
        self._file.write(json.dumps({"op": op, "run": self._run, **times, **row}) + "\n")
