"""How soon a waiting run has its slot after a release: `bench/waiting.py`.

Two processes as in an installation: here a thread waits as the API does for a client, there
another process releases. What is measured is the time from the release's call to the waiting
run's lease being claimed, first for the control plane alone, then with clients in the queue.
"""

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.postgres import fresh_control_database, make_control_template, running_cluster

from ouroboros.adapters.control.connection import open_pool
from ouroboros.adapters.control.leases import SLOTS_CHANNEL, LeaseStore
from ouroboros.adapters.control.listener import ChangeListener
from ouroboros.domain.slot import make_pool

ROUNDS = 200
SLOT = make_pool("preview-1").by_number(1)


def stores(dsn: str) -> LeaseStore:
    pool = open_pool(dsn, "bench", max_size=24)
    pool.wait()
    return LeaseStore(pool, make_pool("preview-1"), ttl_s=600, claim_ttl_s=600, host="local")


def wait_for_slot(leases: LeaseStore, wait: Callable[[float], None], run: str) -> int:
    """What an allocation does up to the reset; returns when the lease was claimed, in ns."""
    while leases.claim(run) is None:
        wait(2.0)
        leases.turn()
    return time.monotonic_ns()


def measure(dsn: str, leases: LeaseStore, listener: ChangeListener, queue: int) -> list[float]:
    """Release and wait, round after round, with `queue` more runs waiting behind the next."""
    runs = [f"run-{number}" for number in range(queue + 2)]
    releaser = start_releaser(dsn)
    assert releaser.stdin
    assert releaser.stdout
    leases.enqueue(runs[0], "main")
    leases.turn()
    leases.claim(runs[0])
    for run in runs[1:]:
        leases.enqueue(run, "main")
    waits = []
    for number in range(ROUNDS):
        holder, following = runs[number % len(runs)], runs[(number + 1) % len(runs)]
        claimed: list[int] = []
        wait = listener.follow()
        thread = threading.Thread(
            target=lambda: claimed.append(wait_for_slot(leases, wait, following))  # noqa: B023
        )
        thread.start()
        time.sleep(0.02)
        print(holder, file=releaser.stdin, flush=True)
        released_ns = int(releaser.stdout.readline())
        thread.join()
        waits.append((claimed[0] - released_ns) / 1e6)
        leases.enqueue(holder, "main")
    releaser.communicate()
    for run in runs:
        leases.leave_queue(run)
    leases.release(SLOT, runs[ROUNDS % len(runs)])
    return waits


def start_releaser(dsn: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, __file__, "--release", dsn],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def release_on_order(dsn: str) -> None:
    """Release for each line on stdin and say when that began."""
    leases = stores(dsn)
    for line in sys.stdin:
        begun_ns = time.monotonic_ns()
        leases.release(SLOT, line.strip())
        print(begun_ns, flush=True)


def main() -> None:
    with running_cluster(durable=True) as cluster:
        make_control_template(cluster)
        with fresh_control_database(cluster) as dsn:
            leases = stores(dsn)
            leases.register()
            listener = ChangeListener(dsn, SLOTS_CHANNEL)
            for queue in (0, 16):
                waits = sorted(measure(dsn, leases, listener, queue))
                figures = {
                    "queue": queue,
                    "rounds": ROUNDS,
                    "p50_ms": round(statistics.median(waits), 1),
                    "p95_ms": round(waits[int(len(waits) * 0.95)], 1),
                    "max_ms": round(waits[-1], 1),
                }
                print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--release"]:
        release_on_order(sys.argv[2])
    else:
        main()
