"""A process that makes resets and dies at a failpoint, again and again, for the crash tests.

Importing the house takes longer than a reset, so it is imported once and every order from stdin
is carried out by a fork. An order is a line of JSON; the answer is how the fork ended.
"""

import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def main() -> None:
    from tests.postgres import TestCluster

    from ouroboros.adapters.cluster.embedded import plan_server
    from ouroboros.settings import read_settings

    state_dir, control_dsn, directory = sys.argv[1:]
    settings = read_settings({"OUROBOROS_STATE_DIR": state_dir})
    cluster = TestCluster(settings, plan_server(settings))
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            obey(cluster, control_dsn, Path(directory), order)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        print("killed" if killed else f"ended {os.waitstatus_to_exitcode(status)}", flush=True)


def obey(cluster, control_dsn: str, directory: Path, order: dict) -> None:
    """Reset or maintain with a failpoint armed to kill; never returns."""
    from tests.databases.conftest import make_world, seed

    from ouroboros.domain import failpoint
    from ouroboros.domain.errors import PreviewError

    world = make_world(cluster, control_dsn, directory)
    left = order.get("skip", 0)

    def kill(_: str) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    status = 0
    try:
        with failpoint.armed(order["failpoint"], kill):
            slot = world.settings.pool.by_number(order.get("slot", 1))
            if order["do"] == "reset":
                world.reset(slot, seed(order["version"]))
            elif order["do"] == "snapshot":
                world.databases.snapshot(slot, order["version"])
            else:
                world.settle()
    except PreviewError as error:
        print(error, file=sys.stderr)
        status = 3
    os._exit(status)


if __name__ == "__main__":
    main()
