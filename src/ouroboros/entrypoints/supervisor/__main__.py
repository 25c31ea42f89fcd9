"""The supervisor as a process of its own: what `ouroboros up --detach` leaves running.

`python -m ouroboros.entrypoints.supervisor FD`: one JSON line on the descriptor says how the
start went, and then it is closed; before it, lines of progress.
"""

import json
import os
import sys
from typing import Any

from ouroboros.adapters.supervisor_client import write_error
from ouroboros.domain.errors import PreviewError
from ouroboros.entrypoints.supervisor.house import run_house
from ouroboros.entrypoints.supervisor.services import current_environment, plan_services
from ouroboros.settings import read_settings


def main() -> int:
    """Run an instance, and tell the starter over the descriptor given as the only argument."""
    with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as starter:
        os.set_inheritable(starter.fileno(), False)

        def tell(document: dict[str, Any]) -> None:
            try:
                starter.write(json.dumps(document) + "\n")
                starter.flush()
            except OSError:
                pass  # the starter did not wait for us

        def on_ready(document: dict[str, Any]) -> None:
            tell({"ok": True, **document})
            os.dup2(os.open(os.devnull, os.O_WRONLY), starter.fileno())

        def progress(text: str) -> None:
            tell({"progress": text})

        try:
            settings = read_settings(os.environ)
            services = plan_services(settings, current_environment())
            run_house(settings, services, on_ready, progress)
        except PreviewError as error:
            tell(write_error(error))
            sys.stderr.write(f"{error}\n")
            return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
