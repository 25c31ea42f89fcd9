"""A git host that takes a connection and never answers holds nobody for longer than wanted."""

import socket
import time
from collections.abc import Iterator

import pytest
from tests.publish.conftest import Bench, make_bench


@pytest.fixture
def silent_url() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}/toolshed.git"


def test_a_publish_that_fetches_and_one_that_waits_for_it_can_be_cancelled(
    limited_instance, tmp_path, silent_url
):
    with (
        make_bench(limited_instance, tmp_path / "one") as fetching,
        make_bench(limited_instance, tmp_path / "two") as waiting,
    ):
        first = begin(fetching, silent_url)
        second = begin(waiting, silent_url)
        cancel_and_wait(waiting, second)
        assert fetching.found(first)["state"] == "running"
        cancel_and_wait(fetching, first)


def begin(bench: Bench, url: str) -> str:
    queued = bench.instance.ouroboros(
        "publish", "--run-id", bench.run_id, "--repo", url, "--ref", "main", "--detach"
    )
    assert queued.status == 0, queued
    publish_id = queued.document["publish_id"]
    wait_for(bench, publish_id, "running")
    return publish_id


def cancel_and_wait(bench: Bench, publish_id: str) -> None:
    assert bench.instance.ouroboros("cancel", publish_id).status == 0
    wait_for(bench, publish_id, "cancelled")


def wait_for(bench: Bench, publish_id: str, state: str) -> None:
    deadline = time.monotonic() + 20
    while (found := bench.found(publish_id))["state"] != state:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
