"""Whatever dies, and wherever: each slot keeps a whole database, and all is settled after."""

import ast
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from tests.databases.conftest import World, make_world, seed
from tests.postgres import fresh_control_database, make_control_template, running_cluster

from ouroboros.adapters.cluster.embedded import stop_leftover
from ouroboros.adapters.cluster.fingerprints import reading, take_fingerprint
from ouroboros.domain.errors import PreviewError
from ouroboros.domain.failpoint import armed

SOURCES = Path(__file__).parents[2] / "src" / "ouroboros"


def failpoints() -> list[str]:
    """Every failpoint of the databases, read from the code, so a new one is tested at once."""
    names = set()
    for folder in ("adapters/cluster", "services/databases"):
        for path in (SOURCES / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "failpoint":
                    names.add(ast.literal_eval(node.args[0]))
    # Checkpoints and exchanges are a publish's: tests/publish/test_database_switch.py kills there.
    return sorted(name for name in names if not name.startswith(("checkpoint.", "exchange.")))


class Crasher:
    """The process that dies for us."""

    def __init__(self, world: World, directory: Path) -> None:
        state_dir = str(world.cluster.settings.state_dir)
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("crasher.py")), state_dir,
             world.control_dsn, str(directory)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout.readline() == "ready\n"

    def order(self, **order) -> str:
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)


@contextmanager
def crash_world(directory: Path) -> Iterator[World]:
    """A durable cluster of its own, all slots on v1 and every standby ready."""
    with running_cluster(durable=True) as cluster:
        make_control_template(cluster)
        with fresh_control_database(cluster) as dsn:
            world = make_world(cluster, dsn, directory)
            try:
                world.databases.recover()
                for slot in world.settings.pool:
                    world.reset(slot, seed("v1"))
                world.reset(world.slot, seed("v2"))
                world.reset(world.slot, seed("v1"))
                world.settle()
                yield world
            finally:
                world.control.close()


@pytest.fixture(scope="module")
def crashes(tmp_path_factory) -> Iterator[tuple[World, Crasher]]:
    directory = tmp_path_factory.mktemp("crashes")
    with crash_world(directory) as world:
        crasher = Crasher(world, directory)
        try:
            yield world, crasher
        finally:
            crasher.close()


def settle_and_check(world: World) -> None:
    """Recover as the worker does, then look at everything."""
    expected = {f"app_preview_{n}{suffix}" for n in (1, 2, 3) for suffix in ("", "__next")}
    deadline = time.monotonic() + 30
    while True:
        world.databases.recover()
        world.settle()
        running = [row for row in world.rows() if row["reset_status"] == "running"]
        found = {name for name in world.ours() if not name.startswith("ouroboros_tpl")}
        if not running and found == expected:
            break
        # The session of a killed process ends a moment later, and its locks with it.
        assert time.monotonic() < deadline, f"left: {running}, {found ^ expected}"
        time.sleep(0.02)
    fingerprints = {
        row["seed_version"]: row["details"]["fingerprint"]
        for row in world.rows()
        if row["reset_status"] == "completed" and row["seed_version"]
    }
    for slot in world.settings.pool:
        with reading(world.databases.url(slot).text()) as connection:
            assert take_fingerprint(connection).whole in fingerprints.values()


@pytest.mark.parametrize("name", failpoints())
def test_a_worker_killed_at_any_point_of_a_reset_leaves_nothing_behind(crashes, name):
    world, crasher = crashes
    if name.startswith("build."):
        text = (world.settings.seeds_dir / "v1.sql").read_text()
        world.seed_file(f"new-{name}", text.replace("drill", name))
        order = {"do": "reset", "slot": 1, "version": f"new-{name}"}
    elif name.startswith("standby."):
        with world.cluster.admin() as connection:
            connection.execute("DROP DATABASE app_preview_1__next")
        order = {"do": "maintain"}
    elif name.startswith("snapshot."):
        order = {"do": "snapshot", "version": f"taken-{name}"}
    elif name.startswith("collect."):
        age_template(world, "v2")
        order = {"do": "maintain"}
    else:
        order = {"do": "reset", "slot": 1, "version": "v1"}
    assert crasher.order(failpoint=name, **order) == "killed"
    settle_and_check(world)


def age_template(world: World, version: str) -> None:
    """Make a template look as if nothing had used it for two days."""
    with world.cluster.admin() as connection:
        for name, text in connection.execute(
            "SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database"
            " WHERE datname LIKE 'ouroboros_tpl_%'"
        ).fetchall():
            mark = json.loads(text)
            if mark["source"]["version"] == version:
                mark["made_at"] = "2020-01-01T00:00:00+00:00"
                connection.execute(
                    psycopg.sql.SQL("COMMENT ON DATABASE {} IS {}").format(
                        psycopg.sql.Identifier(name), psycopg.sql.Literal(json.dumps(mark))
                    )
                )
    with world.control.connection() as connection:
        connection.execute(
            "UPDATE preview_db_resets SET reset_completed_at = '2020-01-01',"
            " reset_started_at = '2020-01-01' WHERE seed_version = %s",
            [version],
        )


@pytest.mark.parametrize(
    "name", ["reset.closed", "reset.renamed", "reset.before_commit", "standby.cloned"]
)
def test_postgres_killed_in_the_middle_comes_back_with_whole_databases(crashes, name):
    world, _ = crashes
    if name == "standby.cloned":
        with world.cluster.admin() as connection:
            connection.execute("DROP DATABASE app_preview_1__next")
    with armed(name, lambda _: world.cluster.kill()):
        try:
            world.reset(world.slot, seed("v1"))
        except PreviewError as failed:
            assert failed.code == "database_unavailable"
        else:
            # The session outlived its postmaster for an instant, and committed.
            assert name in {"reset.renamed", "reset.before_commit"}
    stop_leftover(world.cluster.server)
    world.cluster.start()
    settle_and_check(world)


def crash_at_random(world: World, crasher: Crasher, count: int, seed_number: int) -> None:
    """Kill the worker `count` times at random places, sometimes without recovery between."""
    chance = random.Random(seed_number)
    places = {
        do: [name for name in failpoints() if name.startswith(prefix)]
        for do, prefix in (("reset", "reset."), ("maintain", "standby."))
    }
    killed = tried = 0
    while killed < count:
        do = chance.choice(["reset", "reset", "maintain"])
        order = {"do": do, "slot": chance.randint(1, 3), "version": chance.choice(["v1", "v2"])}
        killed += crasher.order(failpoint=chance.choice(places[do]), **order) == "killed"
        tried += 1
        assert tried < 10 * count, "hardly any order reaches its failpoint"
        if chance.random() < 0.5:
            settle_and_check(world)
    settle_and_check(world)


def test_random_crashes_leave_no_slot_without_its_database(crashes):
    world, crasher = crashes
    crash_at_random(world, crasher, 6, seed_number=7)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_two_hundred_random_crashes_of_worker_and_server(crashes):
    world, crasher = crashes
    for block in range(10):
        crash_at_random(world, crasher, 19, seed_number=block)
        with (
            armed("reset.renamed", lambda _: world.cluster.kill()),
            pytest.raises(PreviewError),
        ):
            world.reset(world.slot, seed("v2"))
        stop_leftover(world.cluster.server)
        world.cluster.start()
        settle_and_check(world)
    print("crashes=200 slots_without_database=0 wrong_fingerprints=0")
