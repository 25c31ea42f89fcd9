"""Stores over a fresh control database."""

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from psycopg.rows import dict_row

from ouroboros.adapters.control.connection import ControlPool, open_pool
from ouroboros.adapters.control.leases import LeaseStore
from ouroboros.adapters.control.publishes import PublishStore
from ouroboros.adapters.control.slots import SlotReader
from ouroboros.domain.slot import SlotPool, make_pool


@dataclass
class Control:
    """The stores of one control plane with three slots."""

    dsn: str
    pool: ControlPool
    slots: SlotPool
    leases: LeaseStore
    publishes: PublishStore
    reader: SlotReader

    def sql(self, statement: str, **values: object) -> list[dict]:
        with psycopg.connect(self.dsn, autocommit=True, row_factory=dict_row) as db:
            cursor = db.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def let_expire(self, slot_id: str) -> None:
        """Move a lease's end into the past: tests do not sleep for time."""
        self.sql(
            "UPDATE slots SET expires_at = clock_timestamp() - interval '1 second' "
            "WHERE slot_id = %(slot_id)s",
            slot_id=slot_id,
        )

    def take(self, run_id: str):
        """What an allocation does up to the reset."""
        self.leases.enqueue(run_id, f"codex/run-{run_id}")
        self.leases.turn()
        return self.leases.claim(run_id)


@pytest.fixture
def control_plane(control_dsn: str) -> Iterator[Control]:
    pool = open_pool(control_dsn, "test", max_size=8)
    slots = make_pool()
    leases = LeaseStore(pool, slots, ttl_s=1800, claim_ttl_s=300, host="local")
    leases.register()
    try:
        yield Control(
            control_dsn, pool, slots, leases, PublishStore(pool, slots), SlotReader(pool, slots)
        )
    finally:
        pool.close()


@pytest.fixture
def running(control_plane):
    """A publish that a worker has claimed."""
    lease = control_plane.take("a").lease
    control_plane.leases.mark_reset(lease)
    control_plane.publishes.queue("a", "/repo", "main")
    publish = control_plane.publishes.claim()
    assert publish is not None
    return publish
