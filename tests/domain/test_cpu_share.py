"""How much of a processor a backend has on hosts of several sizes."""

import pytest

from ouroboros.plans.units.branches import cpu_share


@pytest.mark.parametrize(
    ("processors", "slots", "share"),
    [(1, 3, "25%"), (2, 3, "25%"), (4, 3, "50%"), (8, 3, "100%"), (2, 1, "50%"), (64, 9, "100%")],
)
def test_half_of_a_host_is_shared_by_its_slots_and_builds(processors, slots, share):
    assert cpu_share(processors, slots) == share
