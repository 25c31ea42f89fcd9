"""Whoever waits for its turn at a slot may have lost it when the turn comes."""

import threading
import time
from contextlib import ExitStack

import pytest


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("database/reset", {"strategy": "empty"}),
        ("database/snapshot", {"name": "of-somebody-else"}),
    ],
)
def test_a_bound_token_does_nothing_to_the_next_run_of_its_slot(served, path, document):
    slot_id = served.lease("first")
    slot = served.at.settings.pool.parse(slot_id)
    got = []

    def ask() -> None:
        got.append(api.post(f"/api/slots/{slot_id}/{path}", json=document))

    with served.bearer("run", "first") as api:
        with served.at.slots.exclusive_work(slot):
            thread = threading.Thread(target=ask)
            thread.start()
            time.sleep(0.5)  # admitted by now, and waiting
            served.at.leases.release(slot, "first")
            while served.lease(f"next-{time.monotonic_ns()}") != slot_id:
                pass
        thread.join(20)
    assert got[0].status_code == 409, got[0].text
    assert got[0].json()["error"] == "lease_lost"


def test_a_lease_is_kept_when_its_slot_is_busy_for_too_long(served, monkeypatch):
    monkeypatch.setattr("ouroboros.adapters.control.slots._WORK_WAIT_S", 0.2)
    (served.at.settings.seeds_dir / "turns.sql").write_text("CREATE TABLE turns (id int);\n")
    with ExitStack() as working, served.local() as api:
        for slot in served.at.settings.pool:
            working.enter_context(served.at.slots.exclusive_work(slot))
        asked = {"run_id": "patient", "branch": "b", "seed_version": "turns"}
        answer = api.post("/api/slots/acquire", json=asked)
    assert answer.json()["error"] == "slot_busy", answer.text
    slot_id = answer.json()["slot_id"]
    assert served.at.slots.holder(served.at.settings.pool.parse(slot_id))[0] == "patient"
    assert answer.json()["leased"] is True
