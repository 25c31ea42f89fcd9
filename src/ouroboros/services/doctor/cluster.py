"""What the doctor says of a cluster: what it lacks, and where it keeps slots apart less well.

Our own cluster is configured at every start. An external one is as its owner left it: pg_hba.conf
is not ours there, so what a slot's role can enter is tried, and not concluded.
"""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import Connection

from ouroboros.adapters.cluster.access import ClusterAccess
from ouroboros.adapters.cluster.sql import run
from ouroboros.domain.database_url import DatabaseUrl
from ouroboros.domain.finding import Finding, Severity
from ouroboros.plans import examination as ask
from ouroboros.plans.postgres_config import ADMIN
from ouroboros.plans.roles import SLOT_CONNECTIONS
from ouroboros.settings import Settings

_OWN_CONNECTIONS = 20  # control plane, loader, rehearsal and maintenance together
_LOGIN_LIMIT_S = 5


def examine_cluster(
    connection: Connection[Any], access: ClusterAccess, settings: Settings
) -> Iterator[Finding]:
    """The cluster's settings, its roles, and what a slot can enter beside its own database."""
    yield from _server(connection, access, settings)
    yield from _roles(connection)
    yield from _logins(connection, access, settings)
    if access.external_url is not None:
        yield from _hba(connection, access)
        for (name,) in run(connection, ask.databases_open_to_everyone()):
            yield Finding(
                "database_open_to_everyone",
                Severity.WARNING,
                f"every role that can log in may enter {name}, the slots' own included",
                f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC",
            )


def _server(
    connection: Connection[Any], access: ClusterAccess, settings: Settings
) -> Iterator[Finding]:
    row = run(connection, ask.server_facts())[0]
    superuser, createdb, createrole, signals, prepared, durable, connections, encrypted = row
    if superuser:
        yield Finding(
            "admin_is_superuser",
            Severity.WARNING,
            f"{access.admin} is a superuser: a mistake of ours would have no limits",
            f"ALTER ROLE {access.admin} NOSUPERUSER CREATEDB CREATEROLE",
        )
    rights = {"CREATEDB": createdb, "CREATEROLE": createrole, "pg_signal_backend": signals}
    missing = [right for right, has in rights.items() if not has and not superuser]
    if missing:
        yield Finding(
            "admin_lacks_rights",
            Severity.ERROR,
            f"{access.admin} lacks {', '.join(missing)}",
            f"ALTER ROLE {access.admin} CREATEDB CREATEROLE;"
            f" GRANT pg_signal_backend TO {access.admin}",
        )
    if prepared > 0:
        yield Finding(
            "prepared_transactions_possible",
            Severity.NOTE,
            f"max_prepared_transactions is {prepared}: a slot can leave a transaction that outlives"
            " its session; a reset rolls it back, which takes longer",
            "ALTER SYSTEM SET max_prepared_transactions = 0, if nothing else needs them",
        )
    if not durable:
        yield Finding(
            "not_durable",
            Severity.WARNING,
            "fsync or full_page_writes is off: a power cut loses the whole cluster",
            "ALTER SYSTEM RESET fsync; ALTER SYSTEM RESET full_page_writes",
        )
    needed = len(settings.pool) * SLOT_CONNECTIONS + _OWN_CONNECTIONS
    if connections < needed:
        yield Finding(
            "too_few_connections",
            Severity.WARNING,
            f"{len(settings.pool)} slots may hold {needed - _OWN_CONNECTIONS} connections and"
            f" Ouroboros needs {_OWN_CONNECTIONS}, but only {connections} are to be had",
            f"raise max_connections to {needed + 10}",
        )
    if not access.host.startswith("/") and not encrypted:
        yield Finding(
            "connection_not_encrypted",
            Severity.WARNING,
            f"rows travel to {access.host} in clear text",
            "add sslmode=verify-full to OUROBOROS_CONTROL_DSN",
        )


def _roles(connection: Connection[Any]) -> Iterator[Finding]:
    for role, attributes, memberships in run(connection, ask.slot_roles()):
        if attributes or memberships:
            yield Finding(
                "role_too_strong",
                Severity.ERROR,
                f"{role} has {', '.join([*attributes, *memberships])}, and branch code runs as it",
                "; ".join(
                    [f"ALTER ROLE {role} NO{word}" for word in attributes]
                    + [f"REVOKE {group} FROM {role}" for group in memberships]
                ),
            )


def _logins(
    connection: Connection[Any], access: ClusterAccess, settings: Settings
) -> Iterator[Finding]:
    """Try to log in with a wrong password, and into other databases with the right one."""
    names = [row[0] for row in run(connection, ask.databases_open_to_everyone())]
    slots = list(settings.pool)
    entered = [slot.id for slot in slots if _enters(_wrong_password(access.slot_url(slot)))]
    if entered:
        yield Finding(
            "password_not_asked",
            Severity.ERROR,
            f"the server lets {', '.join(entered)} in with a wrong password (trust, or an"
            " operating-system check, in pg_hba.conf)",
            "let pg_hba.conf ask every role for scram-sha-256",
        )
    own = access.slot_url(slots[0])
    reachable = [
        name for name in names if name != own.database and _enters(replace(own, database=name))
    ]
    if reachable:
        yield Finding(
            "slot_enters_other_databases",
            Severity.WARNING if access.external_url is not None else Severity.ERROR,
            f"{own.user} can enter {', '.join(reachable)}",
            f"put `local sameuser all scram-sha-256` before wider lines of pg_hba.conf, or REVOKE"
            f" CONNECT ON DATABASE {', '.join(reachable)} FROM PUBLIC",
        )


def _hba(connection: Connection[Any], access: ClusterAccess) -> Iterator[Finding]:
    if not run(connection, ask.can_read_hba())[0][0]:
        yield Finding(
            "pg_hba_unseen",
            Severity.NOTE,
            f"{access.admin} may not read pg_hba.conf, so only what a slot can enter was tried",
            f"GRANT SELECT ON pg_hba_file_rules TO {access.admin}; GRANT EXECUTE ON FUNCTION"
            f" pg_hba_file_rules() TO {access.admin} (in {access.control_database})",
        )
        return
    rules = run(connection, ask.hba_rules())
    for line, _, _, users, method, problem in rules:
        if problem:
            yield Finding(
                "pg_hba_broken", Severity.WARNING, f"line {line} of pg_hba.conf: {problem}"
            )
        elif method == "trust":
            yield Finding(
                "pg_hba_trusts",
                Severity.ERROR,
                f"line {line} of pg_hba.conf lets {', '.join(users)} in without a password",
                "write scram-sha-256 instead of trust, then SELECT pg_reload_conf()",
            )
    if not any("sameuser" in databases for _, _, databases, *_ in rules):
        yield Finding(
            "pg_hba_without_sameuser",
            Severity.WARNING,
            "pg_hba.conf has no sameuser line: only CONNECT grants keep slots out of other"
            " databases",
            f"local all {access.admin or ADMIN} scram-sha-256, then local sameuser all"
            " scram-sha-256, before wider lines",
        )


def _wrong_password(url: DatabaseUrl) -> DatabaseUrl:
    return replace(url, password=secrets.token_urlsafe(12))


def _enters(url: DatabaseUrl) -> bool:
    try:
        with psycopg.connect(url.text(), connect_timeout=_LOGIN_LIMIT_S):
            return True
    except psycopg.OperationalError:
        return False
