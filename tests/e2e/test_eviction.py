"""With the policy on, a waiting run gets the slot that nobody uses, and not one that is visited."""

import threading
import urllib.error
import urllib.request
from contextlib import suppress

from tests.instance import Instance, running_instance


def visit(instance: Instance, number: int, begun: threading.Event, end: threading.Event) -> None:
    while not end.wait(0.2):
        with suppress(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{instance.web_port(number)}/", timeout=5)
        begun.set()


def test_the_idle_lease_is_ended_for_a_waiting_run_and_the_visited_one_is_not():
    with running_instance(
        SLOT_IDS_CSV="preview-1,preview-2", OUROBOROS_EVICT_IDLE_AFTER_S="4"
    ) as instance:
        for run in ("visited", "idle"):
            assert instance.allocate(run).status == 0
        begun, end = threading.Event(), threading.Event()
        visitor = threading.Thread(target=visit, args=(instance, 1, begun, end))
        visitor.start()
        assert begun.wait(60)
        try:
            given = instance.ouroboros(
                "allocate", "--run-id", "next", "--strategy", "seed", "--seed-version", "v1",
                "--wait",
            )  # fmt: skip
        finally:
            end.set()
            visitor.join()
        assert given.status == 0, given
        assert given.document["slot_id"] == "preview-2"
        holders = {s["slot_id"]: s["run_id"] for s in instance.ouroboros("slots").document["slots"]}
        assert holders == {"preview-1": "visited", "preview-2": "next"}
