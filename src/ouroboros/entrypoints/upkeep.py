"""What systemd's timers ask for on a host: `python -m ouroboros.entrypoints.upkeep NAME`.

The worker does the first two by itself all the time; the timers do them, too, should it hang, and
a failed unit is what an operator's monitoring sees.

- reap: end overdue leases
- collect: remove releases, artifacts, cached files and mirrors that nothing needs
- audit: look over slots, files and databases; fails when a finding is an error
"""

import json
import os
import sys
from typing import Any

from ouroboros.client import Client
from ouroboros.domain.errors import PreviewError
from ouroboros.settings import read_settings

_LIMIT_S = 1500.0


def main() -> int:
    """Ask the API for one task and print its answer; returns the exit status."""
    try:
        task = sys.argv[1]
        answer = _do(task, Client(read_settings(os.environ).run_dir / "api.sock"))
    except PreviewError as error:
        print(json.dumps(error.document(), default=str))
        return error.exit_code
    print(json.dumps(answer, default=str))
    return 0


def _do(task: str, api: Client) -> Any:
    match task:
        case "reap":
            return api.post("/api/slots/reap-expired")
        case "collect":
            return api.post("/api/host/collect", time_limit_s=_LIMIT_S)
        case _:
            health = api.get("/api/host/health-check", time_limit_s=60.0)
            findings = api.get("/api/doctor", time_limit_s=_LIMIT_S)
            return {"ok": True, "slots": health["slots"], "findings": findings["findings"]}


if __name__ == "__main__":
    sys.exit(main())
