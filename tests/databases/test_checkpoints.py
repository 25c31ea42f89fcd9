"""Checkpoints: the state before a migration comes back whole, and goes when nothing needs it."""

import pytest
from tests.databases.conftest import World, seed

from ouroboros.domain.errors import PreviewError


@pytest.fixture
def leased(world: World) -> tuple[World, int]:
    """Slot 1, reset under a lease, and the fence of that lease."""
    fence = world.lease(world.slot, "run-1")
    world.reset(world.slot, seed("v1"), run_id="run-1", fence=fence)
    world.databases.note_migrations(world.slot, fence, "old")
    return world, fence


def migrate(world: World, fence: int, digest: str) -> None:
    with world.as_slot(world.slot) as connection:
        connection.execute(f"CREATE TABLE seen_{digest} AS SELECT 1 AS n")
    world.databases.note_migrations(world.slot, fence, digest)


def has(world: World, table: str) -> bool:
    return world.query(world.slot, f"SELECT to_regclass('{table}') IS NOT NULL") == [(True,)]


def test_what_was_migrated_comes_back_as_it_was_and_only_once(leased):
    world, fence = leased
    kept = world.databases.take_checkpoint(world.slot, fence, 7)
    assert kept["checkpoint"] in world.ours()
    migrate(world, fence, "new")
    assert world.databases.put_back(world.slot, fence, 7) is True
    assert not has(world, "seen_new")
    assert world.databases.migrations(world.slot) == "old"
    assert world.databases.put_back(world.slot, fence, 7) is False
    assert world.databases.verify(world.slot)["matches"] is True


def test_taking_it_again_begins_from_the_same_state(leased):
    world, fence = leased
    world.databases.take_checkpoint(world.slot, fence, 7)
    migrate(world, fence, "half")
    world.databases.take_checkpoint(world.slot, fence, 7)
    assert not has(world, "seen_half")


def test_states_are_exchanged_and_exchanged_back(leased):
    world, fence = leased
    world.databases.take_checkpoint(world.slot, fence, 7)
    migrate(world, fence, "new")
    done = world.databases.exchange_states(world.slot, fence, 8, "old")
    assert done["exchanged"]
    assert not has(world, "seen_new")
    assert world.databases.exchange_states(world.slot, fence, 8, "old") == {"exchanged": False}
    assert world.databases.undo_exchange(world.slot, fence, 8) is True
    assert has(world, "seen_new")
    assert world.databases.undo_exchange(world.slot, fence, 8) is False
    assert world.databases.exchange_states(world.slot, fence, 9, "old")["exchanged"]
    assert world.databases.exchange_states(world.slot, fence, 10, "new")["exchanged"]
    assert has(world, "seen_new")


def test_a_state_that_is_not_kept_is_refused(leased):
    world, fence = leased
    with pytest.raises(PreviewError) as refused:
        world.databases.exchange_states(world.slot, fence, 8, "never seen")
    assert refused.value.code == "no_checkpoint"


@pytest.mark.parametrize("act", ["take_checkpoint", "put_back"])
def test_under_an_old_fence_nothing_is_touched(leased, act):
    world, fence = leased
    world.databases.take_checkpoint(world.slot, fence, 7)
    migrate(world, fence, "new")
    before = world.ours()
    world.lease(world.slot, "run-2")
    with pytest.raises(PreviewError) as refused:
        getattr(world.databases, act)(world.slot, fence, 7 if act == "put_back" else 8)
    assert refused.value.code == "stale_fence"
    assert has(world, "seen_new")
    assert {name for name in world.ours() if "__at_" in name} <= before


def test_of_a_slot_as_many_are_kept_as_releases_and_none_after_the_lease(leased):
    world, fence = leased
    keep = world.settings.keep_releases
    for number in range(1, keep + 3):
        world.databases.take_checkpoint(world.slot, fence, number)
        migrate(world, fence, f"m{number}")
    world.settle()
    kept = {name for name in world.ours() if "__at_" in name}
    assert kept == {world.slot.database.checkpoint(number) for number in range(3, keep + 3)}
    world.lease(world.slot, "run-2")
    world.settle()
    assert not {name for name in world.ours() if "__at_" in name}


def test_a_reset_since_the_checkpoint_stands(leased):
    world, fence = leased
    world.databases.take_checkpoint(world.slot, fence, 7)
    migrate(world, fence, "new")
    world.reset(world.slot, seed("v2"), run_id="run-1", fence=fence)
    assert world.databases.put_back(world.slot, fence, 7) is False
    assert world.databases.verify(world.slot)["matches"] is True
    assert world.query(world.slot, "SELECT name FROM tools WHERE id = 2") == [("stepladder",)]


def test_an_old_fence_closes_nobodys_database(leased):
    world, fence = leased
    world.databases.take_checkpoint(world.slot, fence, 7)
    world.lease(world.slot, "run-2")
    with world.as_slot(world.slot) as visitor:
        with pytest.raises(PreviewError):
            world.databases.put_back(world.slot, fence, 7)
        assert visitor.execute("SELECT 1").fetchone() == (1,)
