"""How to reach the cluster of the slots' databases, and as whom.

One value for both ways to run: our own PostgreSQL on a unix socket, or an external one that is
administered through `OUROBOROS_CONTROL_DSN`.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from ouroboros.adapters.cluster.secrets import password_of
from ouroboros.domain.database_url import TRANSPORT, DatabaseUrl
from ouroboros.domain.errors import BadInput
from ouroboros.domain.scram import OWN_ITERATIONS, STANDARD_ITERATIONS, make_verifier
from ouroboros.domain.slot import Slot
from ouroboros.plans.postgres_config import ADMIN, CONTROL_DATABASE, LOADER, SUPERUSER

# The admin may show a certificate and have a name of its own; slots have passwords.
_ADMINS_OWN = {"password", "passfile", "application_name", "fallback_application_name",
               "sslcert", "sslkey", "sslpassword", "sslcertmode"}  # fmt: skip


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
    parameters: tuple[tuple[str, str], ...] = ()
    """How the server is reached and known (`TRANSPORT`), for the slots as for the admin."""
    scram_iterations: int = OWN_ITERATIONS

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

    def verifier(self, role: str) -> str:
        """A SCRAM verifier of the generated password of a role, another one at each call."""
        return make_verifier(self.password(role), self.scram_iterations)

    def url(self, database: str, role: str, password: str) -> DatabaseUrl:
        """The URL of a database as a role."""
        return DatabaseUrl(database, role, password, self.host, self.port, self.parameters)

    def _url(self, database: str, role: str) -> DatabaseUrl:
        return self.url(database, role, self.password(role))


def external_access(control_dsn: str, secrets_dir: Path) -> ClusterAccess:
    """Read the access to an external cluster from its URL (`invalid_configuration`).

    What says how the server is reached holds for the slots' URLs, too; what belongs to the admin
    alone does not; what would make the target uncertain is refused.
    """
    if "://" not in control_dsn:
        raise _unusable("is not a URL")
    try:
        parts = {key: str(value) for key, value in conninfo_to_dict(control_dsn).items()}
    except ProgrammingError as error:
        # libpq names what it does not understand, and may quote the password with it.
        raise _unusable("is not a URL that libpq understands") from error
    host, port = parts.pop("host", "/var/run/postgresql"), parts.pop("port", "5432")
    if not port.isdigit() or "," in host:
        raise _unusable("names more than one server; the databases of slots are on one")
    admin, database = parts.pop("user", ADMIN), parts.pop("dbname", CONTROL_DATABASE)
    refused = sorted(parts.keys() - TRANSPORT - _ADMINS_OWN)
    if refused:
        raise _unusable(f"has {', '.join(refused)}, which cannot be kept for the slots' URLs")
    return ClusterAccess(
        host=host,
        port=int(port),
        secrets_dir=secrets_dir,
        admin=admin,
        external_url=control_dsn,
        control_database=database,
        parameters=tuple((key, parts[key]) for key in sorted(parts.keys() & TRANSPORT)),
        scram_iterations=STANDARD_ITERATIONS,
    )


def _unusable(problem: str) -> BadInput:
    return BadInput(
        "invalid_configuration",
        f"OUROBOROS_CONTROL_DSN {problem}",
        "use postgresql://user:password@host:port/database, with sslmode and sslrootcert if needed",
        {"problems": {"OUROBOROS_CONTROL_DSN": problem}},
    )
