"""How long the reset script takes as a whole process, beside `psql -c 'select 1'` in the same run.

    python bench/reset_script.py [--rounds 15]

Starts an instance of its own and ends it. Each round runs psql, the script, and psql again once
the worker has the next standby ready. The last line is for a machine.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.instance import Instance, running_instance

from ouroboros.adapters.cluster.binaries import find_binaries
from ouroboros.adapters.cluster.embedded import server_env

SLOT = "preview-1"
SCRIPT = "preview-db-reset-and-seed.sh"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with running_instance() as instance:
        url = instance.ouroboros("db", "url", "--slot", SLOT).document["database_url"]
        _reset(instance)
        psql, script, inside = [], [], []
        for _ in range(rounds):
            _wait_for_standby(instance)
            psql.append(_time([str(find_binaries(None) / "psql"), "-X", "-c", "select 1", url]))
            started = time.perf_counter()
            inside.append(_reset(instance))
            script.append((time.perf_counter() - started) * 1000)
    above = statistics.median(script) - statistics.median(psql)
    print(f"psql -c 'select 1'  median {statistics.median(psql):7.1f} ms")
    print(f"{SCRIPT}  median {statistics.median(script):7.1f} ms, p95 {max(script):.1f} ms")
    print(f"of that, the reset  median {statistics.median(inside):7.1f} ms")
    print(f"script_above_psql_ms={above:.1f}")


def _reset(instance: Instance) -> float:
    ran = instance.script(
        SCRIPT, "--slot", SLOT, "--run-id", "bench", "--strategy", "seed", "--seed-version", "v1"
    )
    if ran.status != 0:
        sys.exit(f"the script ended with {ran.status}: {ran.stdout}{ran.stderr}")
    return float(ran.document["duration_ms"])


def _wait_for_standby(instance: Instance) -> None:
    while True:
        pool = instance.ouroboros("db", "pool").document
        slots = {slot["slot_id"]: slot for slot in pool["slots"]}
        if slots[SLOT]["standby"]["ready_for_same"] and not pool["to_be_dropped"]:
            return
        time.sleep(0.05)


def _time(argv: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, env=server_env())
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main()
