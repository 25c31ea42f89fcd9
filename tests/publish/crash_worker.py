"""Workers that die at a failpoint, again and again, for the crash tests.

Importing the house takes longer than a publish, so it is imported once and every order from
stdin is carried out by a fork, which is the real worker: it takes the host's lock, recovers,
continues what was left and ends when the publish it was told of has come to its end. An order is
a line of JSON, {"publish", "arm": {failpoint: action}, "trace": path or null}; the answer is
`killed`, `stopped` (with the pid) or `ended <status>`.
"""

import ctypes
import json
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg

from ouroboros.bootstrap import compose
from ouroboros.domain.errors import PreviewError
from ouroboros.domain.failpoint import FailpointReached, armed, stop_here
from ouroboros.domain.publish import PublishState
from ouroboros.entrypoints.worker import Worker, only_worker
from ouroboros.settings import read_settings

PR_SET_PDEATHSIG = 1


def main() -> None:
    points = sys.argv[1].split(",")
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        child = order.get("continue")
        if child is None:
            child = os.fork()
            if child == 0:
                live(order, points)
        else:
            os.kill(child, signal.SIGCONT)
        _, status = os.waitpid(child, os.WUNTRACED)
        print(describe(child, status), flush=True)


def describe(child: int, status: int) -> str:
    if os.WIFSTOPPED(status):
        return f"stopped {child}"
    code = os.waitstatus_to_exitcode(status)
    return "killed" if code == -signal.SIGKILL else f"ended {code}"


def live(order: dict, points: list[str]) -> None:
    """Be the worker until the publish has ended; never returns."""
    status = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        at = compose(read_settings(os.environ), os.environ, "ouroboros-worker")
        worker = Worker(at)
        with ExitStack() as stack:
            for point in points:
                stack.enter_context(armed(point, actions(order, point)))
            stack.enter_context(only_worker(at.settings.run_dir))
            watch = threading.Thread(target=stop_at_the_end, args=(at, worker, order["publish"]))
            watch.start()
            worker.run()
        status = 0
    finally:
        sys.stderr.flush()
        os._exit(status)


def actions(order: dict, point: str):
    """What happens at a failpoint: it is noted if asked for, then acted on once."""
    left = [order["arm"][point]] if point in order["arm"] else []
    notes = Path(order["trace"]) if order.get("trace") else None

    def act(name: str) -> None:
        if notes is not None:
            with notes.open("a") as file:
                file.write(name + "\n")
        if left and (action := left[0]):
            if action == "raise":
                raise FailpointReached(name)
            left.clear()
            if action == "stop":
                stop_here(name)
            else:
                os.kill(os.getpid(), signal.SIGKILL)

    return act


def stop_at_the_end(at, worker: Worker, publish_id: str) -> None:
    """Let the worker go when the publish has ended and its thread has nothing more to do."""

    def is_done() -> bool:
        recorded = PublishState(at.publishes.get(publish_id)["state"])
        busy = any(thread.name == publish_id for thread in threading.enumerate())
        return recorded.is_final and not busy

    while True:
        with suppress(PreviewError, psycopg.Error):  # away; the worker waits for it, too
            if is_done():
                return worker.stop()
        time.sleep(0.02)


if __name__ == "__main__":
    main()
