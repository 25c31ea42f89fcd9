"""Standbys: as many and in the order that is set, and none that somebody has been in."""

from dataclasses import replace

import pytest
from tests.databases.conftest import World, seed
from tests.postgres import PlainRunner

from ouroboros.domain.failpoint import armed
from ouroboros.domain.reset import PoolOrder, ResetPath
from ouroboros.services.databases import SlotDatabases


def with_settings(world: World, **changes) -> World:
    settings = replace(world.settings, **changes)
    access = world.databases._bench.access
    databases = SlotDatabases(world.control, access, settings, PlainRunner())
    return replace(world, settings=settings, databases=databases)


def standbys(world: World) -> set[str]:
    return {name for name in world.ours() if "__next" in name}


def test_a_deeper_pool_swaps_again_and_again_without_background_work(world):
    deep = with_settings(world, pool_depth=3)
    deep.reset(deep.slot, seed("v1"))
    deep.settle()
    assert standbys(deep) == {
        f"app_preview_{n}__next{suffix}" for n in (1, 2, 3) for suffix in ("", "_2", "_3")
    }
    paths = [deep.reset(deep.slot, seed("v1")).path for _ in range(4)]
    assert paths == [ResetPath.SWAP] * 3 + [ResetPath.CLONE]
    deep.settle()
    shallow = with_settings(world, pool_depth=1)
    shallow.settle()
    assert {name for name in standbys(shallow) if name.startswith("app_preview_1_")} == {
        "app_preview_1__next"
    }


@pytest.mark.parametrize(
    ("order", "made"),
    [
        (PoolOrder.FREE_FIRST, ["1", "3", "2"]),
        (PoolOrder.LEASED_FIRST, ["2", "1", "3"]),
        (PoolOrder.NUMBER, ["1", "2", "3"]),
    ],
)
def test_standbys_are_made_in_the_order_that_is_set(world, order, made):
    ordered = with_settings(world, pool_order=order)
    ordered.databases.recover()
    ordered.reset(ordered.slot, seed("v1"))
    ordered.settle()
    ordered.lease(ordered.settings.pool.slots[1], "r")
    with world.cluster.superuser() as connection:
        for name in standbys(ordered):
            connection.execute(f"DROP DATABASE {name}")
    seen: list[str] = []
    while ordered.databases.maintain():
        seen += sorted(standbys(ordered) - set(seen))
    assert [name.removeprefix("app_preview_")[0] for name in seen] == made


def test_a_standby_that_somebody_was_in_is_not_used_and_made_again(world):
    world.reset(world.slot, seed("v1"))
    world.settle()
    with world.cluster.superuser() as connection:
        connection.execute("ALTER DATABASE app_preview_1__next ALLOW_CONNECTIONS true")
    with world.cluster.superuser("app_preview_1__next") as inside:
        inside.execute("UPDATE tools SET name = 'changed'")
    with world.cluster.superuser() as connection:
        connection.execute("ALTER DATABASE app_preview_1__next ALLOW_CONNECTIONS false")
    report = world.reset(world.slot, seed("v1"))
    assert report.path is ResetPath.CLONE
    assert world.databases.verify(world.slot)["matches"]


def test_a_standby_that_is_open_is_not_used(world):
    world.reset(world.slot, seed("v1"))
    world.settle()
    with world.cluster.superuser() as connection:
        connection.execute("ALTER DATABASE app_preview_1__next ALLOW_CONNECTIONS true")
    assert world.reset(world.slot, seed("v1")).path is ResetPath.CLONE


def test_the_pool_tells_what_is_being_made_while_it_is_made(world):
    world.reset(world.slot, seed("v1"))
    seen = []

    def look(_: str) -> None:
        seen.extend(each["work"] for each in world.databases.pool()["at_work"])

    with armed("standby.before_clone", look):
        world.settle()
    assert any(work.startswith("making app_preview_1__next from ouroboros_tpl_") for work in seen)
    assert world.databases.pool()["at_work"] == []
