"""Constant load on previews through the router, run inside a machine: prints one JSON line.

`load.py SECONDS CLIENTS SLOT…`: each client keeps its connection and asks its slot for the page,
an answer of the backend's, and posts to it, one after the other.
"""

import http.client
import json
import os
import sys
import threading
import time

ROUTER = ("127.0.0.1", 8088)
BODY = b"x" * 4096


class Visitor(threading.Thread):
    """One client of one slot."""

    def __init__(self, slot: str, until_s: float) -> None:
        super().__init__()
        self._host = f"preview{slot}.example.com"
        self._until_s = until_s
        self.took_ms: list[float] = []
        self.failed: list[str] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection(*ROUTER, timeout=20)
        asked = (("GET", "/health", b""), ("GET", "/api/count", b""), ("POST", "/api/count", BODY))
        while time.monotonic() < self._until_s:
            for method, path, body in asked:
                began = time.monotonic()
                try:
                    connection.request(method, path, body, {"Host": self._host})
                    answer = connection.getresponse()
                    got = answer.read()
                    if answer.status != 200:
                        self.failed.append(f"{method} {path}: {answer.status} {got[:80]!r}")
                except (OSError, http.client.HTTPException) as error:
                    self.failed.append(f"{method} {path}: {error!r}")
                    connection.close()
                self.took_ms.append((time.monotonic() - began) * 1000)
                time.sleep(0.01)
        connection.close()


def main() -> None:
    seconds, clients, *slots = sys.argv[1:]
    # Visitors come from other machines, whose processors nothing here takes from them.
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    until_s = time.monotonic() + float(seconds)
    visitors = [Visitor(slot, until_s) for slot in slots for _ in range(int(clients))]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    took = sorted(each for visitor in visitors for each in visitor.took_ms)
    failed = [each for visitor in visitors for each in visitor.failed]
    facts = {
        "requests": len(took),
        "failed": len(failed),
        "first_failures": failed[:5],
        "p50_ms": round(took[len(took) // 2], 2),
        "p99_ms": round(took[int(len(took) * 0.99)], 2),
        "longest_ms": round(took[-1], 2),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
