"""A slot's role enters its own database and nothing else, also after twenty resets."""

import psycopg
import pytest
from tests.databases.conftest import World, seed


def entered(world: World) -> set[str]:
    """The databases of the cluster that the role of preview-1 gets into."""
    url = world.databases.url(world.slot).text()
    inside = set()
    for name in world.cluster.databases():
        try:
            psycopg.connect(psycopg.conninfo.make_conninfo(url, dbname=name)).close()
        except psycopg.OperationalError:
            continue
        inside.add(name)
    return inside


def test_twenty_resets_open_no_other_database_to_a_slots_role(world):
    world.databases.recover()
    assert len(world.cluster.databases()) >= 6  # neighbours, the control plane's, templates
    before = entered(world)
    for number in range(20):
        slot = world.settings.pool.slots[number % 2]
        world.reset(slot, seed(("v1", "v2")[number % 3 > 0]))
    assert before == entered(world) == {"app_preview_1"}
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(
            psycopg.conninfo.make_conninfo(
                world.databases.url(world.slot).text(), dbname="app_preview_2"
            )
        )
