"""Visitors of one slot in a process of their own, so that what they wait for is not each other.

    visit.py PORT HOST CLIENTS PAUSE_S PATH…

Half of the clients keep their connection, the others make one for every request. A line `begin
NAME` on stdin begins a stretch of time, `end` ends all: then one JSON line tells of each stretch
the milliseconds of its answers, and how many failed.
"""

import contextlib
import http.client
import json
import os
import sys
import threading
import time


class Visitor(threading.Thread):
    """Asks for one path after the other, with a pause after each."""

    def __init__(self, told: "Told", keeps: bool, argv: list[str]) -> None:
        super().__init__()
        port, self._host, _, pause_s, *self._paths = argv
        self._address = ("127.0.0.1", int(port))
        self._told = told
        self._keeps = keeps
        self._pause_s = float(pause_s)

    def run(self) -> None:
        headers = {"Host": self._host} | ({} if self._keeps else {"Connection": "close"})
        connection = http.client.HTTPConnection(*self._address, timeout=30)
        while self._told.stretch != "end":
            for path in self._paths:
                began = time.perf_counter()
                try:
                    connection.request("GET", path, headers=headers)
                    answer = connection.getresponse()
                    answer.read()
                    succeeded = answer.status == http.client.OK
                except (OSError, http.client.HTTPException):
                    connection.close()
                    succeeded = False
                self._told.note((time.perf_counter() - began) * 1000, succeeded)
                time.sleep(self._pause_s)
        connection.close()


class Told:
    """What has been seen, by the stretch of time in which it was."""

    def __init__(self) -> None:
        self.stretch = ""
        self.times_ms: dict[str, list[float]] = {}
        self.failed: dict[str, int] = {}

    def note(self, took_ms: float, succeeded: bool) -> None:
        self.times_ms.setdefault(self.stretch, []).append(took_ms)
        self.failed[self.stretch] = self.failed.get(self.stretch, 0) + (not succeeded)


def main() -> None:
    with contextlib.suppress(PermissionError):
        # Visitors come from other machines, whose processors nothing here takes from them.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    told = Told()
    visitors = [Visitor(told, at % 2 == 0, sys.argv[1:]) for at in range(int(sys.argv[3]))]
    for visitor in visitors:
        visitor.start()
    for line in sys.stdin:
        told.stretch = line.split()[-1]
        if told.stretch == "end":
            break
    told.stretch = "end"
    for visitor in visitors:
        visitor.join()
    print(json.dumps({"times_ms": told.times_ms, "failed": told.failed}))


if __name__ == "__main__":
    main()
