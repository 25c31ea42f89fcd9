"""Our own PostgreSQL as a service: what is done before it starts, and before it is called ready.

These run as processes of their own (`python -m …database serve|prepare`), so that the supervisor
carries neither a database driver nor a migration tool in its memory.
"""

import json
import os
import sys
from typing import NoReturn

from ouroboros.adapters.cluster import embedded
from ouroboros.adapters.cluster.access import external_access
from ouroboros.adapters.cluster.prepare import prepare_cluster, prepare_roles
from ouroboros.adapters.command_runner import ProcessRunner
from ouroboros.adapters.leftovers import MARKER, instance_id
from ouroboros.domain.errors import PreviewError
from ouroboros.settings import Settings, read_settings

_READY_LIMIT_S = 90.0


def serve(settings: Settings) -> NoReturn:
    """Make the cluster if there is none, end what is left of an older server, become the server."""
    server = embedded.plan_server(settings)
    embedded.stop_leftover(server)
    if not embedded.stop_leftover(server):
        # Nothing works in the data directory, so its pid file is stale. PostgreSQL would take it
        # for a live server when its pid belongs to another process by now, or to a zombie that
        # a slow init has not reaped.
        (server.data_dir / "postmaster.pid").unlink(missing_ok=True)
    embedded.initialise(server, ProcessRunner(instance_id(settings.state_dir)))
    argv = embedded.server_argv(server)
    env = embedded.server_env() | {MARKER: os.environ[MARKER]}
    os.execvpe(argv[0], argv, env)  # noqa: S606


def prepare(settings: Settings) -> None:
    """Wait until the cluster answers; bring its roles and the control plane's schema to date."""
    from ouroboros.adapters.control.schema import migrate_control_plane  # noqa: PLC0415 - heavy

    if settings.control_dsn is None:
        server = embedded.plan_server(settings)
        embedded.wait_until_ready(server, _READY_LIMIT_S)
        prepare_cluster(server, settings.pool)
        access = server.access
    else:
        access = external_access(settings.control_dsn, settings.secrets_dir)
        prepare_roles(access, settings.pool)
    migrate_control_plane(access.control_dsn())


def main() -> int:
    """Run one of the two; a failure is one JSON document on the last line of stderr."""
    try:
        settings = read_settings(os.environ)
        {"serve": serve, "prepare": prepare}[sys.argv[1]](settings)
    except PreviewError as error:
        sys.stderr.write(json.dumps(error.document()) + "\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
