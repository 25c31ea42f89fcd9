"""A supervisor over stub services, for the tests: `stub_house.py FD SERVICES_JSON`.

It differs from `python -m ouroboros.entrypoints.supervisor` in nothing but the list of services.
"""

import json
import os
import sys
from pathlib import Path

from ouroboros.adapters.supervisor_client import write_error
from ouroboros.domain.errors import PreviewError
from ouroboros.entrypoints.supervisor.house import run_house
from ouroboros.entrypoints.supervisor.services import HttpReady, LockHeld, Service
from ouroboros.entrypoints.supervisor.watch import Patience
from ouroboros.settings import Settings, read_settings


def _code(item: dict, settings: Settings) -> str:
    """Stubs that serve no port say that they are ready by a lock, as the worker does."""
    path = str(settings.log_dir / f"{item['name']}.lock")
    lock = f"import fcntl; f = open({path!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX)\n"
    if "port" in item:
        return str(item["code"])
    if "# ready" in item["code"]:
        return item["code"].replace("# ready", lock)
    return lock + item["code"]


def main() -> int:
    settings = read_settings(os.environ)
    services = tuple(
        Service(
            item["name"],
            (sys.executable, "-I", "-S", "-c", _code(item, settings), *item.get("arguments", ())),
            {"PATH": os.environ["PATH"]},
            Path("/"),
            settings.log_dir / f"{item['name']}.log",
            HttpReady(item["port"])
            if "port" in item
            else LockHeld(settings.log_dir / f"{item['name']}.lock"),
            stage=item.get("stage", 0),
            ports=(item["port"],) if "port" in item else (),
            grace_s=2.0,
        )
        for item in json.loads(sys.argv[2])
    )
    with os.fdopen(int(sys.argv[1]), "w") as starter:

        def tell(document: dict) -> None:
            starter.write(json.dumps(document) + "\n")
            starter.flush()

        try:
            run_house(
                settings,
                services,
                lambda document: tell({"ok": True, **document}),
                lambda text: tell({"progress": text}),
                Patience(0.05, 0.4, 30.0, promotion_s=1.0),
            )
        except PreviewError as error:
            tell(write_error(error))
            return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
