"""Publishes one ref after the other, run inside a machine: prints the seconds that each took.

`publish_again.py REPOSITORY REF…`: over the API's socket, as a run worker elsewhere would.
"""

import http.client
import json
import socket
import sys
import time


class Api(http.client.HTTPConnection):
    """The control plane's API."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/srv/oroboros/run/api.sock")

    def ask(self, method: str, path: str, document: dict | None = None) -> dict:
        body = None if document is None else json.dumps(document)
        self.request(method, path, body, {"Content-Type": "application/json"})
        return json.loads(self.getresponse().read())


def main() -> None:
    repository, *refs = sys.argv[1:]
    api, took = Api("localhost"), []
    for ref in refs:
        began = time.monotonic()
        asked = {"run_id": "run-1", "repo": repository, "ref": ref}
        found = api.ask("POST", "/api/publishes", asked)
        while not found["final"]:
            waiting = f"wait_s=30&seen={found['version']}"
            found = api.ask("GET", f"/api/publishes/{found['publish_id']}?{waiting}")
        assert found["preview_ready"], found
        took.append(round(time.monotonic() - began, 2))
    print(json.dumps(took))


if __name__ == "__main__":
    main()
