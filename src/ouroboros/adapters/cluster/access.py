"""How to reach the cluster of the slots' databases, and as whom.

One value for both ways to run: our own PostgreSQL on a unix socket, or an external one that is
administered through `OUROBOROS_CONTROL_DSN`.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from psycopg.conninfo import conninfo_to_dict

from ouroboros.adapters.cluster.secrets import password_of
from ouroboros.domain.database_url import DatabaseUrl
from ouroboros.domain.errors import BadInput
from ouroboros.domain.slot import Slot
from ouroboros.plans.postgres_config import ADMIN, CONTROL_DATABASE, LOADER, SUPERUSER


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """Where the cluster listens, who administers it, and where the passwords are."""

    host: str
    port: int
    secrets_dir: Path
    admin: str = ADMIN
    external_url: str | None = None
    """The administrator's URL of an external cluster; None: the cluster is our own."""
    control_database: str = CONTROL_DATABASE

    def superuser_dsn(self, database: str = "postgres") -> str:
        """The URL of the superuser of our own cluster; never used inside a slot's database."""
        return self._url(database, SUPERUSER).text()

    def admin_dsn(self, database: str | None = None) -> str:
        """The URL of the admin in a database (the control plane's, unless another is named)."""
        name = database or self.control_database
        if self.external_url is None:
            return self._url(name, self.admin).text()
        return urlunsplit(urlsplit(self.external_url)._replace(path=f"/{quote(name, safe='')}"))

    def control_dsn(self) -> str:
        """The URL of the control plane's database."""
        return self.admin_dsn()

    def loader_dsn(self) -> str:
        """The URL of the loader in the one database it may enter."""
        return self._url(LOADER, LOADER).text()

    def slot_url(self, slot: Slot) -> DatabaseUrl:
        """What a slot's backend gets as `DATABASE_URL`."""
        return self._url(slot.database.name, slot.database.role)

    def password(self, role: str) -> str:
        """The generated password of a role."""
        return password_of(self.secrets_dir, role)

    def _url(self, database: str, role: str) -> DatabaseUrl:
        return DatabaseUrl(database, role, self.password(role), self.host, self.port)


def external_access(control_dsn: str, secrets_dir: Path) -> ClusterAccess:
    """Read the access to an external cluster from its URL (`invalid_configuration`)."""
    if "://" not in control_dsn:
        raise BadInput(
            "invalid_configuration",
            "OUROBOROS_CONTROL_DSN is not a URL",
            "use postgresql://user:password@host:port/database",
        )
    parts = {key: str(value) for key, value in conninfo_to_dict(control_dsn).items()}
    return ClusterAccess(
        host=parts.get("host", "/var/run/postgresql"),
        port=int(parts.get("port", "5432")),
        secrets_dir=secrets_dir,
        admin=parts.get("user", ADMIN),
        external_url=control_dsn,
        control_database=parts.get("dbname", CONTROL_DATABASE),
    )
