"""A backend that somebody starts while its lease ends does not outlive the lease."""

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest
from tests.publish.crash_world import CrashWorld, crash_world

from ouroboros.domain.errors import Refused


@pytest.fixture(scope="module")
def world() -> Iterator[CrashWorld]:
    with crash_world() as made:
        yield made


@pytest.fixture
def published(world: CrashWorld) -> CrashWorld:
    world.serve_first()
    return world


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_a_backend_that_starts_when_its_lease_has_just_ended_is_ended_again(published, verb):
    at = published.at

    def start_late(slot, spec):
        published.end_lease()
        return at.runtime.start(slot, spec)

    late = SimpleNamespace(
        start=start_late, stop=at.runtime.stop, park=at.runtime.park, status=at.runtime.status
    )
    backends = replace(at.backends, runtime=late)
    with pytest.raises(Refused) as refused:
        getattr(backends, verb)(published.slot)
    assert refused.value.code == "lease_lost"
    assert at.runtime.status(published.slot).state == "stopped"


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_a_run_starts_no_backend_but_its_own(published, verb):
    act = getattr(published.at.backends, verb)
    assert act(published.slot, published.run_id)["health"] == "ok"
    with pytest.raises(Refused) as refused:
        act(published.slot, "somebody-else")
    assert refused.value.code == "lease_lost"
    assert published.at.backends.status(published.slot)["health"] == "ok"
    published.end_lease()
