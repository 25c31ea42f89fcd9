"""The main job, shown: two branches of one application published side by side into two slots.

Run by `make demo`. It starts the local instance of this checkout, makes a real git repository of
the example application, leases a slot for each of two runs, publishes their branches and says
where to look. `make stop` ends what it leaves running.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
REPOSITORY = HOME / ".ouroboros" / "demo" / "toolshed"
RUNS = {
    "demo-page": "shows the tools as a board, with what is available at a glance",
    "demo-reservations": "adds a migration, an endpoint /api/reservations and its page",
}


def ouroboros(*arguments: str) -> dict:
    """Run the command-line program; progress passes through, a failure ends the demo."""
    program = [str(HOME / "scripts" / "ouroboros"), *arguments, "--json"]
    done = subprocess.run(program, stdout=subprocess.PIPE, text=True, check=False)
    answer = json.loads(done.stdout or "{}")
    if done.returncode != 0:
        print(json.dumps(answer, indent=2), file=sys.stderr)
        print(f"demo: {' '.join(arguments)} failed ({done.returncode})", file=sys.stderr)
        sys.exit(1)
    return answer


def say(text: str) -> None:
    print(f"\033[1m==> {text}\033[0m" if sys.stderr.isatty() else f"==> {text}", file=sys.stderr)


def main() -> None:
    began = time.monotonic()
    say("Starting the local instance")
    ouroboros("up", "--detach")
    say("Making a git repository of the example application")
    maker = HOME / "examples" / "make_repository.py"
    subprocess.run([sys.executable, str(maker), str(REPOSITORY)], check=True, stdout=sys.stderr)
    shown = []
    for run_id, change in RUNS.items():
        say(f"Run {run_id}: leasing a slot and resetting its database")
        lease = ouroboros(
            "allocate", "--run-id", run_id, "--strategy", "seed", "--seed-version", "v1"
        )
        say(f"Run {run_id}: publishing codex/run-{run_id} into {lease['slot_id']}")
        done = ouroboros(
            "publish", "--run-id", run_id, "--repo", str(REPOSITORY),
            "--ref", f"codex/run-{run_id}",
        )  # fmt: skip
        shown.append((done["url"], run_id, done["commit_sha"][:10], change))
    print(f"\nTwo previews are up after {time.monotonic() - began:.0f} s:\n")
    for url, run_id, commit, change in shown:
        print(f"  {url}\n      {run_id} ({commit}): {change}\n")
    link = ouroboros("open", "--sign-in")["url"]
    print(f"The dashboard, signed in (once, within 15 minutes):\n\n  {link}\n")
    print("Look around:  .venv/bin/ouroboros slots · publishes · logs --slot preview-1")
    print("End it:       make stop")


if __name__ == "__main__":
    main()
