"""Reading the hosts of a control plane: which there are, and whether their workers go round."""

from typing import Any

from ouroboros.adapters.control.connection import ControlPool, control

_LIST = """
    SELECT h.host, h.worker_at, h.looked_at,
        extract(epoch FROM clock_timestamp() - h.worker_at)::float AS worker_age_s,
        current_setting('server_version') AS postgres_version,
        (SELECT count(*) FROM slots s WHERE s.host = h.host AND s.in_pool) AS slots
    FROM hosts h ORDER BY h.host
"""


class HostReader:
    """Queries over the hosts; none changes anything."""

    def __init__(self, pool: ControlPool) -> None:
        self._pool = pool

    def all(self) -> list[dict[str, Any]]:
        """One document per host: `host`, when its worker last went round, how many slots."""
        with control(self._pool) as db:
            return db.execute(_LIST).fetchall()
