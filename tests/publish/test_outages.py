"""Publishes while PostgreSQL keeps going away: each one ends, and as if nothing had been."""

import contextlib
import random
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from tests.publish.beside import Beside
from tests.publish.crash_world import CrashWorld, crash_world

from ouroboros.adapters.guard import list_descendants, send_signal
from ouroboros.domain.errors import PreviewError


@pytest.fixture(scope="module")
def world() -> Iterator[CrashWorld]:
    with crash_world() as made:
        made.serve_first()
        yield made
        patiently(made.end_lease)


class Outages(Beside):
    """Stops PostgreSQL as a whole for a while, or kills it, again and again."""

    def __init__(self, world: CrashWorld, every_s: tuple[float, float], for_s: float) -> None:
        super().__init__()
        self._world = world
        self._every_s = every_s
        self._for_s = for_s
        self._random = random.Random(1)
        self.stopped = self.killed = 0

    def _go_on(self) -> None:
        while not self._end.is_set():
            with contextlib.suppress(PreviewError):
                self._world.at.slots.queue()
                # It answers; let it work for a while.
                self._end.wait(self._random.uniform(*self._every_s))
            postmaster = self._postmaster()
            if self._end.is_set() or postmaster is None:
                continue
            if self._random.random() < 0.5:
                self._stop_for_a_while(postmaster)
            else:
                send_signal(postmaster, signal.SIGKILL)
                self.killed += 1

    def _postmaster(self) -> Any:
        """PostgreSQL's first process: the parent of all others of it."""
        data_dir = self._world.at.settings.state_dir / "postgres"
        with contextlib.suppress(OSError, ValueError):
            pid = int((data_dir / "postmaster.pid").read_text().splitlines()[0])
            found = [e for e in list_descendants(self._world.house_pid) if e.pid == pid]
            return found[0] if found else None
        return None

    def _stop_for_a_while(self, postmaster: Any) -> None:
        everyone = [postmaster, *list_descendants(postmaster.pid)]
        for entry in everyone:
            send_signal(entry, signal.SIGSTOP)
        self._end.wait(self._random.uniform(0, self._for_s))
        for entry in everyone:
            send_signal(entry, signal.SIGCONT)
        self.stopped += 1


def patiently(act: Callable[[], Any], limit_s: float = 120.0) -> Any:
    """Do it again until PostgreSQL lets it be done."""
    deadline = time.monotonic() + limit_s
    while True:
        try:
            return act()
        except (PreviewError, psycopg.OperationalError) as error:
            # Unreachable or busy, and nothing else.
            assert getattr(error, "exit_code", 3) == 3, error
            assert time.monotonic() < deadline, error
            time.sleep(0.1)


def publish_through(world: CrashWorld, least: int, outages: Outages) -> None:
    """So many publishes, and more until PostgreSQL has gone away and come back at least once."""
    count = 0
    with outages:
        while count < least or not outages.stopped + outages.killed:
            count += 1
            publish_id = patiently(world.queue_publish)
            assert world.workers.order(publish=publish_id, arm={}) == "ended 0"
            found = patiently(lambda: world.at.publishes.get(publish_id))  # noqa: B023
            assert found["state"] == "ready", (found["failed_step"], found["error"])
            world.live = publish_id
    print(f"{count} publishes, PostgreSQL stopped {outages.stopped}×, killed {outages.killed}×")
    patiently(lambda: world.require_whole(world.live))


class WhileAsleep(Beside):
    """Kills PostgreSQL's first process, or the session, each time a session of a branch sleeps."""

    def __init__(self, world: CrashWorld, times: int, *, only_session: bool) -> None:
        super().__init__()
        self._world = world
        self._only_session = only_session
        self._left = times
        self.killed = 0

    def _go_on(self) -> None:
        while self._left and not self._end.wait(0.05):
            if (found := self._asleep()) is not None:
                send_signal(found, signal.SIGKILL)
                self._left -= 1
                self.killed += 1
                while self._asleep() is not None:
                    time.sleep(0.01)

    def _asleep(self) -> Any:
        """The process to kill, when a session sleeps; None when none does."""
        query = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(1)%%' AND pid <> %s"
        dsn, row = self._world.at.access.superuser_dsn(), None
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(dsn) as db:
            row = db.execute(query, [db.info.backend_pid]).fetchone()
        found = {entry.pid: entry for entry in list_descendants(self._world.house_pid)}
        session = found.get(row[0]) if row else None
        return session if session is None or self._only_session else found.get(session.parent)


def publish_asleep(world: CrashWorld, where: str) -> dict[str, Any]:
    publish_id = patiently(lambda: world.queue_publish(asleep_in=where))
    assert world.workers.order(publish=publish_id, arm={}) == "ended 0"
    found: dict[str, Any] = patiently(lambda: world.at.publishes.get(publish_id))
    return found


@pytest.mark.parametrize(
    ("where", "step", "only_session"),
    [
        ("migration", "migrate", True),
        ("backend", "readiness", True),
        ("backend", "readiness", False),
    ],
    ids=["migration, session", "backend, session", "backend, first process"],
)
def test_what_fails_as_postgresql_dies_is_done_again(world, where, step, only_session):
    with WhileAsleep(world, 1, only_session=only_session) as asleep:
        found = publish_asleep(world, where)
    assert asleep.killed == 1
    assert found["state"] == "ready", (found["failed_step"], found["error"])
    assert next(row["attempts"] for row in found["steps"] if row["step"] == step) == 2
    world.live = found["publish_id"]
    patiently(lambda: world.require_whole(world.live))


def test_a_migration_under_which_postgresql_dies_each_time_fails_and_is_undone(world):
    world.live = publish_asleep(world, "")["publish_id"]
    with WhileAsleep(world, 50, only_session=True) as asleep:
        found = publish_asleep(world, "migration")
    assert (found["state"], found["failed_step"]) == ("failed", "migrate"), found["error"]
    assert found["error"]["error"] == "step_interrupted"
    # Our own PostgreSQL does not wait for the disk: what it forgets when it dies counts again.
    assert asleep.killed >= 5
    patiently(lambda: world.require_whole(world.live))


def test_publishes_end_well_while_postgresql_comes_and_goes(world):
    publish_through(world, 3, Outages(world, (1.5, 4.0), 1.5))


@pytest.mark.soak
@pytest.mark.timeout(2 * 3600)
def test_two_hundred_publishes_end_well_while_postgresql_comes_and_goes(world):
    publish_through(world, 200, Outages(world, (5.0, 20.0), 5.0))
