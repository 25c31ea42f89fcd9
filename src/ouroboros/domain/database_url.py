"""Database URLs: whether branch code may be given one.

The only URL a slot's backend or migration may hold is that of its own database, as its own role.
The check parses and compares names exactly, because `app_preview_10` is not `app_preview_1` and
a URL has more than one place to hide a database name in.
"""

import re
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from ouroboros.domain.errors import BadInput, Refused
from ouroboros.domain.slot import Slot

_PREVIEW_DATABASE = re.compile(r"app_preview_[1-9][0-9]{0,2}")
_SCHEMES = {"postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2"}
# libpq lets these query parameters override what stands in the URL's other places.
_OVERRIDES = {"dbname", "user", "service", "servicefile", "options", "passfile"}

TRANSPORT = frozenset(
    {"sslmode", "sslrootcert", "sslcrl", "sslcrldir", "sslsni", "ssl_min_protocol_version",
     "ssl_max_protocol_version", "sslnegotiation", "channel_binding", "hostaddr",
     "connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval",
     "keepalives_count", "tcp_user_timeout"}
)  # fmt: skip
"""Parameters of libpq that say how a server is reached and known, whoever logs in."""


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """The parts of a PostgreSQL connection URI (PostgreSQL manual 34.1.1.2)."""

    database: str
    user: str
    password: str
    host: str
    port: int
    parameters: tuple[tuple[str, str], ...] = ()
    """Further parameters of libpq, such as sslmode; see `TRANSPORT`."""

    def text(self) -> str:
        """The URL for libpq. A host that is a directory goes into the query."""
        credentials = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        database = quote(self.database, safe="")
        if self.host.startswith("/"):
            where, place = "", [("host", self.host), ("port", str(self.port))]
        else:
            host = f"[{self.host}]" if ":" in self.host else self.host
            where, place = f"{host}:{self.port}", []
        query = urlencode([*place, *self.parameters], quote_via=quote, safe="")
        return f"postgresql://{credentials}@{where}/{database}{'?' if query else ''}{query}"

    def redacted(self) -> str:
        """The URL with the password masked, for logs and answers."""
        masked = replace(self, password="***").text()  # noqa: S106 - it is the mask
        return masked.replace(quote("***", safe=""), "***")


def require_own_database(slot: Slot, url: str) -> None:
    """Refuse a URL that is not exactly this slot's database as this slot's role.

    Raises `slot_database_mismatch` for another slot's database or role, and
    `unsafe_database_target` for anything that is not a preview database, or whose target cannot
    be told with certainty. The message never holds the URL's password.
    """
    database, user = _target(url)
    own = slot.database
    if not _PREVIEW_DATABASE.fullmatch(database):
        raise Refused(
            "unsafe_database_target",
            f"{database[:80]!r} is not a preview database; {slot.id} may only use {own.name}",
            "leave DATABASE_URL to the preview: remove it from preview.toml and env files",
        )
    if database != own.name or user != own.role:
        raise Refused(
            "slot_database_mismatch",
            f"{slot.id} is bound to {own.name} as {own.role}, not to {database} as {user[:80]}",
            f"ouroboros db url --slot {slot.id}",
        )


def _target(url: str) -> tuple[str, str]:
    """The database and user that libpq would connect to with this URL."""
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        user = unquote(parts.username or "", errors="strict")
        database = unquote(parts.path.removeprefix("/"), errors="strict")
    except (ValueError, UnicodeDecodeError):
        raise _unsafe("the URL cannot be parsed") from None
    if parts.scheme not in _SCHEMES:
        raise _unsafe(f"the scheme {parts.scheme[:20]!r} is not PostgreSQL's")
    if any(name.lower() in _OVERRIDES for name, _ in query):
        raise _unsafe("the URL's query overrides its target")
    if not database or not user or "/" in database or parts.fragment:
        raise _unsafe("the URL does not name one database and one role")
    return database, user


def _unsafe(problem: str) -> BadInput:
    return BadInput(
        "unsafe_database_target", problem, "use the DATABASE_URL that the preview provides"
    )
