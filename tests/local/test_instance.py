"""A whole instance, as a person starts it: up, kills, up again, down."""

import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from tests.instance import HOME, PROGRAM, Instance, make_instance
from tests.local.conftest import affinities, until

from ouroboros.adapters.cluster.embedded import plan_server
from ouroboros.adapters.leftovers import instance_id, list_marked
from ouroboros.settings import read_settings

SERVICES = ["postgres", "web-preview-1", "web-preview-2", "web-preview-3", "api", "worker"]


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with TemporaryDirectory(prefix="ouro-", dir="/tmp") as directory:
        made = make_instance(Path(directory))
        try:
            yield made
        finally:
            made.down()


def marked(instance: Instance) -> list[int]:
    return [entry.pid for entry in list_marked(instance_id(instance.state_dir))]


def pid_of(instance: Instance, name: str) -> int:
    services = instance.ouroboros("status").document["services"]
    return next(item["pid"] for item in services if item["name"] == name)


def assert_up(instance: Instance) -> None:
    status = instance.ouroboros("status")
    assert status.status == 0, status
    assert [item["name"] for item in status.document["services"]] == SERVICES
    ports = [instance.api_port, *(instance.web_port(n) for n in (1, 2, 3))]
    for port in ports:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            assert answer.status == 200


def assert_nothing_is_left(instance: Instance) -> None:
    assert marked(instance) == []
    assert list((instance.state_dir / "run").iterdir()) == []
    for port in range(instance.web_port_base, instance.web_port_base + 30):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(("127.0.0.1", port))


def test_up_starts_everything_and_starting_it_again_says_so(instance: Instance) -> None:
    first = instance.up()
    assert (first.status, first.document["already_up"]) == (0, False), first
    assert_up(instance)
    again = instance.up()
    assert (again.status, again.document["already_up"]) == (0, True)
    assert again.document["pid"] == first.document["pid"]
    foreground = instance.ouroboros("up")
    assert (foreground.status, foreground.document["error"]) == (1, "already_running")
    assert foreground.document["pid"] == first.document["pid"]


def test_work_leaves_processors_to_surfaces_and_to_sessions_of_slots(instance: Instance) -> None:
    usable = os.sched_getaffinity(0)
    if len(usable) == 1:
        pytest.skip("this machine has one processor, which nothing can be kept off")
    serving = {name: os.sched_getaffinity(pid_of(instance, name)) == usable for name in SERVICES}
    assert serving == {name: name.startswith("web-") for name in SERVICES}
    ours = os.sched_getaffinity(pid_of(instance, "worker"))
    assert ours < usable
    postmaster = pid_of(instance, "postgres")
    assert all(place == ours for place in affinities(postmaster).values())
    assert instance.allocate("sessions").status == 0
    settings = read_settings(instance.environ)
    slot = settings.pool.parse("preview-1")
    with psycopg.connect(plan_server(settings).access.slot_url(slot).text()) as session:
        pid = session.info.backend_pid
        assert os.sched_getaffinity(pid) == ours  # as that of a migration
        until(lambda: os.sched_getaffinity(pid) == usable)
        elsewhere = {each for each, place in affinities(postmaster).items() if place != ours}
        assert elsewhere == {pid}
    assert instance.release("sessions", slot.id).status == 0


def test_status_needs_nothing_but_the_state_directory(instance: Instance) -> None:
    environ = {"PATH": os.environ["PATH"], "OUROBOROS_STATE_DIR": str(instance.state_dir)}
    done = subprocess.run([PROGRAM, "status"], env=environ, capture_output=True, check=True)
    document = json.loads(done.stdout)
    assert document["api_url"] == f"http://127.0.0.1:{instance.api_port}"


def test_a_killed_postgres_recovers_and_the_api_goes_on(instance: Instance) -> None:
    os.kill(pid_of(instance, "postgres"), signal.SIGKILL)
    until(lambda: instance.ouroboros("status").status == 0, 60)
    slots = until(lambda: (got := instance.ouroboros("slots")).status == 0 and got, 30)
    assert len(slots.document["slots"]) == 3


def test_after_kill_9_of_the_supervisor_up_recovers_and_no_orphan_is_left(
    instance: Instance,
) -> None:
    before = set(marked(instance))
    os.kill(instance.ouroboros("status").document["pid"], signal.SIGKILL)
    assert instance.up().status == 0
    assert_up(instance)
    assert before & set(marked(instance)) == set()


def test_after_kill_9_of_everything_up_recovers(instance: Instance) -> None:
    before = set(marked(instance))
    for pid in (instance.ouroboros("status").document["pid"], *before):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert instance.up().status == 0
    assert_up(instance)
    assert before & set(marked(instance)) == set()


def test_down_leaves_nothing_and_may_be_repeated(instance: Instance) -> None:
    down = instance.down()
    assert (down.status, down.document["was_up"]) == (0, True), down
    assert_nothing_is_left(instance)
    down = instance.down()
    assert (down.status, down.document["was_up"]) == (0, False)
    status = instance.ouroboros("status")
    assert (status.status, status.document["error"]) == (3, "not_running")


def test_a_port_taken_by_a_stranger_is_refused_with_his_name(instance: Instance) -> None:
    with socket.create_server(("127.0.0.1", instance.web_port(2))):
        refused = instance.up()
    assert (refused.status, refused.document["error"]) == (1, "port_in_use")
    assert refused.document["pid"] == os.getpid()
    assert_nothing_is_left(instance)


def test_a_stale_pid_file_that_names_a_living_stranger_keeps_nothing_from_starting(
    instance: Instance,
) -> None:
    with subprocess.Popen(["sleep", "600"], user="nobody" if os.geteuid() == 0 else None) as other:
        pid_file = instance.state_dir / "postgres" / "postmaster.pid"
        pid_file.write_text(f"{other.pid}\n{pid_file.parent}\n1\n5432\n\n\n0 0\n")
        started = instance.up()
        assert (started.status, other.poll()) == (0, None), started
        assert instance.down().status == 0
        assert other.poll() is None
        other.kill()
    assert_nothing_is_left(instance)


def test_ctrl_c_in_the_foreground_ends_everything_and_only_that(instance: Instance) -> None:
    stranger = subprocess.Popen(["sleep", "600"])
    argv = [PROGRAM, "up", "--json"]
    with subprocess.Popen(
        argv, env=instance.environ, cwd=HOME, stdout=subprocess.PIPE, start_new_session=True
    ) as up:
        assert up.stdout is not None
        assert json.loads(up.stdout.readline())["ok"] is True
        # What a terminal does: the signal goes to the whole foreground group.
        os.killpg(up.pid, signal.SIGINT)
        assert up.wait(60) == 0
    assert_nothing_is_left(instance)
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
