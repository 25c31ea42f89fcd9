"""Roles: who exists in the cluster of the slots' databases, and what each may do.

- the admin owns every database and makes roles, but is no superuser;
- `app_owner` (no login) owns every object inside the slots' databases, so a clone fits any slot;
- each slot has one login role, named like its database, that acts as `app_owner`;
- the loader builds seeds in a database named like itself, and can enter nothing else.
"""

from collections.abc import Collection, Mapping

from ouroboros.domain.slot import SlotDatabase
from ouroboros.plans.postgres_config import ADMIN, CONTROL_DATABASE, LOADER, OWNER
from ouroboros.plans.sql import Statement, Text, statement

SLOT_CONNECTIONS = 20
_LOADER_CONNECTIONS = 4
# Who is no superuser may not even say NOSUPERUSER or NOREPLICATION (manual, ALTER ROLE), and a
# role that the admin made has neither.
# A forgotten transaction holds back vacuum and migrations; a runaway query holds a core.
_SLOT_SETTINGS = (
    ("role", OWNER),
    ("idle_in_transaction_session_timeout", "5min"),
    ("statement_timeout", "15min"),
)
_SLOT_LOGIN = (
    "LOGIN NOCREATEDB NOCREATEROLE INHERIT "
    f"CONNECTION LIMIT {SLOT_CONNECTIONS} VALID UNTIL 'infinity'"
)


def admin_by_superuser(existing: Collection[str], verifier: str) -> list[Statement]:
    """What only our own cluster's superuser does: the admin role, and closing what is open.

    `verifier` is the admin's password as a SCRAM verifier, so no password reaches a log.
    """
    login = "LOGIN NOSUPERUSER CREATEDB CREATEROLE NOREPLICATION NOBYPASSRLS"
    verb = "ALTER" if ADMIN in existing else "CREATE"
    return [
        statement(f"{verb} ROLE {{}} {login} PASSWORD {{}}", ADMIN, Text(verifier)),
        statement("GRANT pg_signal_backend TO {}", ADMIN),
        statement("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC"),
    ]


def control_database(databases: Collection[str], name: str = CONTROL_DATABASE) -> list[Statement]:
    """The control plane's database, which nobody but the admin enters."""
    made = [] if name in databases else [statement("CREATE DATABASE {} OWNER {}", name, ADMIN)]
    return [*made, statement("REVOKE ALL ON DATABASE {} FROM PUBLIC", name)]


def roles_by_admin(
    existing: Collection[str],
    admin: str,
    loader_verifier: str,
    slots: Mapping[SlotDatabase, str],
) -> list[Statement]:
    """The roles that the admin makes: owner, loader and one per slot (with its verifier)."""
    statements = []
    if OWNER not in existing:
        statements.append(statement("CREATE ROLE {} NOLOGIN", OWNER))
        statements.append(statement("GRANT {} TO {}", OWNER, admin))
    if LOADER not in existing:
        statements += _make_login(LOADER, admin)
    statements += assert_loader_role(loader_verifier)
    for database, verifier in slots.items():
        if database.role not in existing:
            statements += _make_login(database.role, admin)
        statements += assert_slot_role(database, verifier)
    return statements


def assert_loader_role(verifier: str) -> list[Statement]:
    """Bring the loader back to what it must be; part of every build of a template."""
    login = f"LOGIN NOCREATEDB NOCREATEROLE CONNECTION LIMIT {_LOADER_CONNECTIONS}"
    return [
        statement(f"ALTER ROLE {{}} {login} PASSWORD {{}}", LOADER, Text(verifier)),
        statement("ALTER ROLE {} RESET ALL", LOADER),
        statement("ALTER ROLE {} SET role = {}", LOADER, Text(OWNER)),
    ]


def _make_login(role: str, admin: str) -> list[Statement]:
    """A login that acts as the owner; the admin is a member to be able to take its objects."""
    return [
        statement("CREATE ROLE {}", role),
        statement("GRANT {} TO {}", OWNER, role),
        statement("GRANT {} TO {}", role, admin),
    ]


def assert_slot_role(database: SlotDatabase, verifier: str | None) -> list[Statement]:
    """Bring a slot's role back to what it must be; part of every reset, in its transaction.

    Without a verifier the password is left alone. A role may change its own password and settings,
    and they outlive its database. It cannot lend itself to another role: that needs ADMIN OPTION
    since PostgreSQL 15.
    """
    role = database.role
    login = statement(f"ALTER ROLE {{}} {_SLOT_LOGIN}", role)
    if verifier is not None:
        login = statement(f"{login.text} PASSWORD {{}}", role, Text(verifier))
    return [
        login,
        statement("ALTER ROLE {} RESET ALL", role),
        *(
            statement(f"ALTER ROLE {{}} SET {key} = {{}}", role, Text(value))
            for key, value in _SLOT_SETTINGS
        ),
    ]
