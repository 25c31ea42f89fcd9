"""Random kills, for a long time: whatever dies, nothing stays behind and the next start works."""

import os
import random
import signal
import time
from contextlib import suppress

import pytest
from tests.local.conftest import House, until
from tests.local.test_house import DAEMONS, assert_nothing_is_left, sleeper

from ouroboros.adapters.leftovers import instance_id, list_marked

ROUNDS = 200


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_two_hundred_rounds_of_random_kills_leave_no_orphan(house: House) -> None:
    seed = time.time_ns()
    chance = random.Random(seed)
    print(f"seed {seed}")
    for _ in range(ROUNDS):
        house.up({"name": "daemons", "code": DAEMONS}, sleeper("worker"), sleeper("late", stage=1))
        for _ in range(chance.randrange(4)):
            victims = list_marked(instance_id(house.settings.state_dir))
            for victim in chance.sample(victims, min(len(victims), chance.randrange(1, 4))):
                with suppress(ProcessLookupError):
                    os.kill(victim.pid, chance.choice([signal.SIGKILL, signal.SIGTERM]))
            time.sleep(chance.random() / 5)
        if chance.random() < 0.7:
            house.kill()
        else:
            house.end()
            assert_nothing_is_left(house)
    house.up(sleeper("worker"))
    until(lambda: house.status()["failing"] == [])
    house.end()
    assert_nothing_is_left(house)
