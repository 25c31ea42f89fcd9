"""Makes a history of lease operations while clients are killed and PostgreSQL goes away.

`lease_soak.py DIRECTORY --operations N --kills K --restarts R` runs its own PostgreSQL and 64
client processes, each of which picks operations at random and writes down what came of them.
Nothing is judged here: `history_checker.py` reads what lies in the directory afterwards.

This process has no threads, since every client is a fork of it: a killed one is replaced within
milliseconds.
"""

import argparse
import ctypes
import json
import mmap
import os
import random
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import psycopg
from tests.control.lease_client import Client, open_stores
from tests.postgres import (
    TestCluster,
    fresh_control_database,
    make_control_template,
    running_cluster,
)

from ouroboros.adapters.cluster.embedded import stop_leftover
from ouroboros.domain.slot import SlotPool, make_pool

CLIENTS = 64
ONLOOKER = -1
PR_SET_PDEATHSIG = 1
SLOTS = 16
TTL_S = 0.4
FREEZE_S = 0.8
WRITES = """
    CREATE TABLE soak_writes (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, slot text, run text, fence bigint)
"""


class Counters:
    """One number for each client in memory that forks share: killed ones keep theirs."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8 * (CLIENTS + 1))

    def add(self, client: int) -> None:
        value = struct.unpack_from("q", self._memory, 8 * client)[0]
        struct.pack_into("q", self._memory, 8 * client, value + 1)

    def total(self) -> int:
        return sum(struct.unpack_from(f"{CLIENTS}q", self._memory))

    def ask_to_end(self) -> None:
        struct.pack_into("q", self._memory, 8 * CLIENTS, 1)

    def shall_end(self) -> bool:
        return struct.unpack_from("q", self._memory, 8 * CLIENTS)[0] == 1


class Soak:
    """The clients, and what is done to them."""

    def __init__(self, directory: Path, cluster: TestCluster, dsn: str, seed: int) -> None:
        self._directory = directory
        self._cluster = cluster
        self._dsn = dsn
        self._slots = make_soak_pool()
        self._random = random.Random(seed)
        self._counters = Counters()
        self._pids: dict[int, int] = {}
        self._lives = 0
        self._frozen: dict[int, float] = {}
        self._ended: int | None = None
        self.kills = self.freezes = self.restarts = 0

    def run(self, operations: int, kills: int, restarts: int, time_limit_s: float) -> None:
        """Keep the clients at it, with kills and restarts spread over the operations."""
        try:
            self._fork(ONLOOKER, self._look_on)
            for number in range(CLIENTS):
                self._start(number)
            begun = time.monotonic()
            while (share := self._share(operations, begun, time_limit_s)) < 1:
                if self.restarts < restarts * share:
                    self._restart_postgres()
                if self.kills < kills * share:
                    self._kill_one()
                self._freeze_and_thaw()
                time.sleep(0.02)
            self._end_all()
        finally:
            self._pids.pop(self._ended, None)
            for pid in self._pids.values():
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _share(self, operations: int, begun: float, time_limit_s: float) -> float:
        """How much of the way is gone, by operations or by time."""
        elapsed_s = time.monotonic() - begun
        return max(self._counters.total() / operations, elapsed_s / time_limit_s)

    def summary(self) -> dict[str, int]:
        return {
            "done": self._counters.total(),
            "kills": self.kills,
            "freezes": self.freezes,
            "restarts": self.restarts,
        }

    def _start(self, number: int) -> None:
        self._lives += 1
        path = self._directory / f"ops-{number}-{self._lives}.jsonl"
        seed = self._random.getrandbits(32)

        def live() -> None:
            with open_stores(self._dsn, self._slots, TTL_S, self._directory) as stores:
                client = Client(number, stores, path, seed)
                while not self._counters.shall_end():
                    client.act()
                    self._counters.add(number)

        self._fork(number, live)

    def _look_on(self) -> None:
        """Write down what each slot serves, whenever it is something else than before."""
        web = self._directory / "web"
        last: dict[str, str] = {}
        with (self._directory / "seen.jsonl").open("a") as file:
            while not self._counters.shall_end():
                for slot in self._slots:
                    with suppress(FileNotFoundError):
                        served = (web / slot.id / "current").readlink().name
                        if served != last.get(slot.id):
                            last[slot.id] = served
                            row = {"at_ns": time.monotonic_ns(), "slot": slot.id}
                            print(json.dumps(row | {"fence": int(served)}), file=file)
                time.sleep(0.002)

    def _fork(self, number: int, live: Callable[[], None]) -> None:
        pid = os.fork()
        if pid:
            self._pids[number] = pid
            return
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        status = 1
        try:
            live()
            status = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(status)

    def _kill_one(self) -> None:
        number = self._random.choice(sorted(set(range(CLIENTS)) - set(self._frozen)))
        os.kill(self._pids[number], signal.SIGKILL)
        self._require(number, -signal.SIGKILL)
        self.kills += 1
        self._start(number)

    def _freeze_and_thaw(self) -> None:
        now = time.monotonic()
        for number, until in list(self._frozen.items()):
            if now >= until:
                os.kill(self._pids[number], signal.SIGCONT)
                del self._frozen[number]
        if not self._frozen and self._random.random() < 0.05:
            number = self._random.randrange(CLIENTS)
            os.kill(self._pids[number], signal.SIGSTOP)
            self._frozen[number] = now + FREEZE_S
            self.freezes += 1

    def _restart_postgres(self) -> None:
        """Alternately shut down in good order and killed like in a power cut."""
        if self.restarts % 2:
            self._cluster.kill()
            stop_leftover(self._cluster.server)
        else:
            self._cluster.stop()
        self._cluster.start()
        self.restarts += 1

    def _end_all(self) -> None:
        """Let every client finish what it is at; one that ended by an error fails the soak."""
        for number in list(self._frozen):
            os.kill(self._pids[number], signal.SIGCONT)
        self._counters.ask_to_end()
        for number in list(self._pids):
            self._require(number, 0)
            del self._pids[number]

    def _require(self, number: int, wanted: int) -> None:
        _, status = os.waitpid(self._pids[number], 0)
        self._ended = number
        code = os.waitstatus_to_exitcode(status)
        assert code == wanted, f"client {number} ended with {code}; its error stands above"


def make_soak_pool() -> SlotPool:
    """Enough slots that most clients have something to do, and too few for all of them."""
    return make_pool(",".join(f"preview-{n}" for n in range(1, SLOTS + 1)))


def dump(dsn: str, directory: Path) -> None:
    """Write the control plane's own record and what the guarded table took."""
    questions = {
        "grants": "SELECT id, slot_id AS slot, run_id AS run, fence FROM events"
        " WHERE kind = 'lease.granted' ORDER BY id",
        "writes": "SELECT id, slot, run, fence FROM soak_writes ORDER BY id",
    }
    with psycopg.connect(dsn, row_factory=psycopg.rows.dict_row) as db:
        for name, question in questions.items():
            with (directory / f"{name}.jsonl").open("w") as file:
                file.writelines(json.dumps(row) + "\n" for row in db.execute(question))


@contextmanager
def soak_database() -> Iterator[tuple[TestCluster, str]]:
    """A PostgreSQL of its own: what it agreed to must survive its being killed.

    The machine does not lose power, so what was handed to the operating system need not be
    flushed (PostgreSQL manual 20.5, fsync); commits are handed over before they are agreed to.
    """
    with running_cluster(durable=True) as cluster:
        with cluster.superuser() as db:
            db.execute("ALTER SYSTEM SET fsync = off")
            db.execute("SELECT pg_reload_conf()")
        make_control_template(cluster)
        with fresh_control_database(cluster) as dsn:
            with psycopg.connect(dsn, autocommit=True) as db:
                db.execute(WRITES)
            yield cluster, dsn


def main() -> None:
    """Make the history; the last line on stdout says how much was done to it."""
    asked = argparse.ArgumentParser()
    asked.add_argument("directory", type=Path)
    asked.add_argument("--operations", type=int, required=True)
    asked.add_argument("--kills", type=int, required=True)
    asked.add_argument("--restarts", type=int, required=True)
    asked.add_argument("--time-limit-s", type=float, default=7200.0)
    asked.add_argument("--seed", type=int, default=0)
    given = asked.parse_args()
    with soak_database() as (cluster, dsn):
        with open_stores(dsn, make_soak_pool(), TTL_S, given.directory) as stores:
            stores.leases.register()
        soak = Soak(given.directory, cluster, dsn, given.seed)
        begun = time.monotonic()
        soak.run(given.operations, given.kills, given.restarts, given.time_limit_s)
        seconds = round(time.monotonic() - begun, 1)
        dump(dsn, given.directory)
        print(json.dumps({**soak.summary(), "seconds": seconds}))


if __name__ == "__main__":
    main()
