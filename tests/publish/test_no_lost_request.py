"""Publishing under load loses no request and shows nobody half of two releases."""

from contextlib import ExitStack

import pytest
from tests.instance import Instance, running_instance
from tests.publish.conftest import Bench, make_bench
from tests.publish.visited import PORT_TOML, SOCKET_TOML, files
from tests.publish.visitors import Visitors


@pytest.fixture(scope="module")
def instance():
    with running_instance() as running:
        yield running


def visitors_of(bench: Bench, instance: Instance, *, each_kind: int, pause_s: float) -> Visitors:
    host = f"preview{bench.number}.localhost"
    port = instance.web_port(bench.number)
    return Visitors(port, host, each_kind=each_kind, pause_s=pause_s)


def publish_under_load(instance, directory, publishes: int, toml: str) -> dict[str, Visitors]:
    """Publish again and again into the first of three visited slots."""
    with ExitStack() as stack:
        benches = [
            stack.enter_context(make_bench(instance, directory / str(slot))) for slot in range(3)
        ]
        for bench in benches:
            done = bench.publish(files(0, toml))
            assert done.status == 0, done
        visited, *others = [
            stack.enter_context(visitors_of(bench, instance, each_kind=kinds, pause_s=pause_s))
            for bench, kinds, pause_s in zip(benches, (3, 1, 1), (0.002, 0.02, 0.02), strict=True)
        ]
        for number in range(1, publishes + 1):
            visited.wait_for_pages(10)
            done = benches[0].publish(files(number, toml))
            assert done.status == 0, done
            visited.wait_for_pages(10, of=done.document["commit_sha"])
        assert len(visited.seen.commits) == publishes + 1
    return {"visited": visited, "other": others[0], "third": others[1]}


def require_nothing_lost(found: dict[str, Visitors]) -> None:
    for name, visitors in found.items():
        seen = visitors.seen
        print(name, seen.requests, "requests,", seen.pages, "pages,", len(seen.commits), "commits")
        assert seen.requests > 100
        assert seen.failed == [], (name, seen.failed[:5], len(seen.failed))
        assert seen.mixed == [], (name, seen.mixed[:5], len(seen.mixed))


@pytest.mark.parametrize("toml", [SOCKET_TOML, PORT_TOML], ids=["socket", "port"])
def test_publishing_under_load_loses_no_request(instance, tmp_path, toml):
    """Also with a backend that binds its port by itself: the surface holds visitors back."""
    require_nothing_lost(publish_under_load(instance, tmp_path, 2, toml))


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("toml", [SOCKET_TOML, PORT_TOML], ids=["socket", "port"])
def test_twenty_publishes_under_load_lose_no_request(instance, tmp_path, toml):
    require_nothing_lost(publish_under_load(instance, tmp_path, 20, toml))
