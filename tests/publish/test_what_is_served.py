"""What a slot serves is what was committed as published last, whatever is stopped, frozen or late.

An onlooker asks the control plane, the slot's page and the control plane again, over and over.
Between the switch and its record a publish is proven at the slot's own address: while its switch
is under way, its commit may be served too, and never after it has ended otherwise. A run that is
given the slot erases on entry: until its database is reset, what was published last may be seen.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.rows import dict_row
from tests.publish.beside import Beside
from tests.publish.crash_world import CrashWorld, crash_world

from ouroboros.adapters.http_probe import ask

TRUTH = """
    SELECT live.commit_sha AS live, switching.commit_sha AS switching,
        s.reset_fence <> s.fence AS entering
    FROM slots s
    LEFT JOIN publishes live ON live.publish_id = s.live_publish
    LEFT JOIN LATERAL (
        SELECT p.commit_sha FROM publishes p JOIN publish_steps t USING (publish_id)
        WHERE p.slot_id = s.slot_id AND p.state = 'running' AND t.step = 'switch') switching ON true
"""


class Onlooker(Beside):
    """Samples until it is told to end."""

    def __init__(self, world: CrashWorld) -> None:
        super().__init__()
        self._world = world
        self.seen: Counter[str] = Counter()
        self.lies: list[str] = []
        self._last: str | None = None

    @property
    def samples(self) -> int:
        return sum(self.seen.values())

    def _go_on(self) -> None:
        slot = self._world.slot
        with psycopg.connect(
            self._world.at.access.control_dsn(), autocommit=True, row_factory=dict_row
        ) as db:
            before = db.execute(TRUTH).fetchone()
            while not self._end.is_set():
                page = ask(slot.web_port, "/health", headers={"Host": slot.host_name})
                after = db.execute(TRUTH).fetchone()
                said = page.json() if page.status == 200 else None
                self._judge(said.get("commit_sha") if said else None, before, after)
                before = after

    def _judge(self, served: str | None, before: dict, after: dict) -> None:
        self._last = before["live"] or self._last
        if before == after and before["switching"] is None and not before["entering"]:
            self.seen["settled"] += 1
            allowed = {before["live"]}
        else:
            self.seen["changing"] += 1
            allowed = {truth[key] for truth in (before, after) for key in ("live", "switching")}
            if before["entering"] or after["entering"]:
                allowed.add(self._last)
        if served not in allowed:
            self.lies.append(f"{served} is served, the control plane says {before} and {after}")


@pytest.fixture(scope="module")
def world() -> Iterator[CrashWorld]:
    with crash_world() as made:
        made.allocate()
        publish(made)
        yield made
        made.end_lease()


def publish(world: CrashWorld) -> None:
    publish_id = world.queue_publish()
    assert world.workers.order(publish=publish_id, arm={}) == "ended 0"
    assert world.at.publishes.get(publish_id)["state"] == "ready"


def be_superseded(world: CrashWorld) -> None:
    """A newer publish is queued while an older one is at work; the newer one is served."""
    older, newer = at_work(world, world.queue_publish)
    assert world.at.publishes.get(older)["state"] in ("superseded", "ready")
    assert world.workers.order(publish=newer, arm={}) == "ended 0"
    assert world.at.publishes.get(newer)["state"] == "ready"


def be_cancelled(world: CrashWorld) -> None:
    def cancel() -> None:
        world.at.publishes.cancel(newest(world)["publish_id"])

    cancelled, _ = at_work(world, cancel)
    assert world.at.publishes.get(cancelled)["state"] in ("cancelled", "ready")


def be_frozen(world: CrashWorld) -> None:
    """Stopped right before the switch, past its lease; the next run finds an empty slot."""
    frozen = world.queue_publish()
    told = world.workers.order(publish=frozen, arm={"publish.switch.before": "stop"})
    try:
        world.let_expire()
        world.enter(f"after-{frozen}")
    finally:
        world.workers.order(**{"continue": int(told.split()[1])})
    assert world.at.publishes.get(frozen)["state"] == "cancelled"


def be_killed(world: CrashWorld) -> None:
    publish_id = world.queue_publish()
    world.run_to_the_end(publish_id, {"publish.switch.after": "kill"})


DEEDS = (publish, be_superseded, be_cancelled, be_killed, be_frozen)


def at_work(world: CrashWorld, act):
    """Publish, and do something when a step chosen by turns has begun."""
    publish_id = world.queue_publish()
    steps = ("source", "frontend", "backend", "migrate", "restart", "smoke", "switch")
    wanted = steps[int(publish_id[1:]) % len(steps)]
    worker = threading.Thread(target=lambda: world.workers.order(publish=publish_id, arm={}))
    worker.start()
    while not has_begun(world, publish_id, wanted):
        time.sleep(0.005)
    done = act()
    worker.join()
    return publish_id, done


def has_begun(world: CrashWorld, publish_id: str, step: str) -> bool:
    found = world.at.publishes.get(publish_id)
    return found["finished_at"] is not None or any(s["step"] == step for s in found["steps"])


def newest(world: CrashWorld) -> dict:
    return world.at.publishes.list(limit=1)[0]


def sample(world: CrashWorld, least: int) -> Onlooker:
    with Onlooker(world) as onlooker:
        while onlooker.samples < least:
            for deed in DEEDS:
                deed(world)
    print(dict(onlooker.seen))
    assert onlooker.lies == []
    assert onlooker.seen["settled"] > 0
    assert onlooker.seen["changing"] > 0
    return onlooker


def test_the_commit_served_is_the_one_committed_as_published_last(world):
    sample(world, 500)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_so_it_is_in_ten_thousand_samples(world):
    assert sample(world, 10_000).samples >= 10_000
