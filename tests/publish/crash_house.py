"""A supervisor with PostgreSQL and the surfaces, without API and worker: `crash_house.py FD`.

The worker of the crash tests is `crash_worker.py`, a fork of which dies at each failpoint.
"""

import json
import os
import sys

from ouroboros.adapters.supervisor_client import write_error
from ouroboros.domain.errors import PreviewError
from ouroboros.entrypoints.supervisor.house import run_house
from ouroboros.entrypoints.supervisor.services import current_environment, plan_services
from ouroboros.settings import read_settings


def main() -> int:
    with os.fdopen(int(sys.argv[1]), "w") as starter:
        os.set_inheritable(starter.fileno(), False)

        def tell(document: dict) -> None:
            starter.write(json.dumps(document) + "\n")
            starter.flush()

        try:
            settings = read_settings(os.environ)
            planned = plan_services(settings, current_environment())
            services = tuple(s for s in planned if s.name not in ("api", "worker"))
            run_house(settings, services, lambda _: tell({"ok": True}), lambda _: None)
        except PreviewError as error:
            tell(write_error(error))
            return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
