"""How long the commands that people type most take, beside a bare Python in the same run.

    .venv/bin/python bench/command_line.py [--rounds 15]

Needs a running instance for `ouroboros status` (`make demo`, or `ouroboros up --detach`). Prints
the medians in milliseconds and what each costs above `python3 -c pass`.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
PROGRAM = str(HOME / ".venv" / "bin" / "ouroboros")
COMMANDS = {
    "python3 -c pass": [sys.executable, "-c", "pass"],
    "ouroboros --help": [PROGRAM, "--help"],
    "ouroboros status": [PROGRAM, "status", "--json"],
    "ouroboros slots": [PROGRAM, "slots", "--json"],
}
LIMITS_MS = {"ouroboros --help": 200, "ouroboros status": 400}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, argv in COMMANDS.items():
            began = time.perf_counter()
            done = subprocess.run(argv, stdout=subprocess.DEVNULL, env=os.environ, check=False)
            times[name].append((time.perf_counter() - began) * 1000)
            if done.returncode != 0:
                sys.exit(f"{name} ended with {done.returncode}; is an instance up?")
    bare = statistics.median(times["python3 -c pass"])
    for name, taken in times.items():
        median = statistics.median(taken)
        limit = LIMITS_MS.get(name)
        wanted = "" if limit is None else f"  (wanted: under {limit})"
        print(f"{name:20} {median:7.1f} ms  +{median - bare:6.1f} ms{wanted}")


if __name__ == "__main__":
    main()
