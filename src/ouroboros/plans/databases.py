"""The SQL that makes, closes, swaps, opens and drops databases.

All of it runs from the control plane's database as the admin, who owns the databases of slots
and never enters them. Sources: PostgreSQL manual, CREATE DATABASE, ALTER DATABASE, DROP DATABASE.
"""

from ouroboros.domain.slot import SlotDatabase
from ouroboros.plans.postgres_config import LOADER, OWNER
from ouroboros.plans.sql import Statement, Text, statement

AT_WORK = "ouroboros: "
"""How the application name begins of a session that works for long; what it does follows."""
# A copy through the WAL needs no checkpoint and wins for small databases; a copy of files wins
# from about here on (docs/performance-reset.md).
FILE_COPY_FROM_BYTES = 48 * 1024 * 1024


def list_databases() -> Statement:
    """Every database that could be ours: name, comment and flags."""
    return statement(
        "SELECT d.datname, shobj_description(d.oid, 'pg_database'), d.datallowconn,"
        " d.datistemplate, d.datconnlimit, pg_stat_get_db_sessions(d.oid)"
        " FROM pg_database d"
        " WHERE d.datname LIKE 'app\\_preview\\_%' OR d.datname LIKE 'ouroboros\\_%'"
        " ORDER BY d.datname"
    )


def size_of(name: str) -> Statement:
    """The bytes of a database on disk; no row when it is gone."""
    return statement(
        "SELECT pg_database_size(oid) FROM pg_database WHERE datname = %s", params=[name]
    )


def clone(template: str, target: str, template_bytes: int) -> Statement:
    """Copy a template; until the copy is complete and its rights are set nobody may enter."""
    strategy = "file_copy" if template_bytes >= FILE_COPY_FROM_BYTES else "wal_log"
    return statement(
        f"CREATE DATABASE {{}} TEMPLATE {{}} STRATEGY {strategy} ALLOW_CONNECTIONS false",
        target,
        template,
    )


def create_empty(target: str) -> Statement:
    """Make an empty database from template0, closed like a clone."""
    return statement(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' ALLOW_CONNECTIONS false", target
    )


def grant_to_slot(name: str, database: SlotDatabase) -> list[Statement]:
    """The rights on a clone for a slot: a clone has none of its template's (ACL is not copied).

    CREATE lets the owner of the objects make schemas and trusted extensions.
    """
    return grant(name, database.role)


def grant_to_loader(name: str) -> list[Statement]:
    """The rights of the loader on the database in which it builds."""
    return grant(name, LOADER)


def grant(name: str, role: str) -> list[Statement]:
    """The rights of the one role that may enter a database."""
    return [
        statement("REVOKE ALL ON DATABASE {} FROM PUBLIC", name),
        statement("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}", name, role),
        statement("GRANT CREATE, TEMPORARY ON DATABASE {} TO {}", name, OWNER),
    ]


def comment(name: str, text: str) -> Statement:
    """Write the mark of a database."""
    return statement("COMMENT ON DATABASE {} IS {}", name, Text(text))


def allow_connections(name: str, allowed: bool) -> Statement:
    """Open or close a database; who is connected stays connected."""
    return statement(f"ALTER DATABASE {{}} ALLOW_CONNECTIONS {str(allowed).lower()}", name)


def make_template(name: str) -> Statement:
    """A template can be cloned by us and entered by nobody."""
    return statement("ALTER DATABASE {} IS_TEMPLATE true ALLOW_CONNECTIONS false", name)


def unmake_template(name: str) -> Statement:
    """A template cannot be dropped while it is one."""
    return statement("ALTER DATABASE {} IS_TEMPLATE false", name)


def rename(name: str, new_name: str) -> Statement:
    """Rename a database; fails with 55006 (object_in_use) while a session is in it."""
    return statement("ALTER DATABASE {} RENAME TO {}", name, new_name)


def drop(name: str) -> Statement:
    """Drop a database that is not a slot's own, whoever is in it."""
    return statement("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def list_sessions(name: str) -> Statement:
    """Every session of a database, and whether it is a superuser's, which the admin cannot end."""
    return statement(
        "SELECT a.pid, r.rolsuper IS TRUE"
        " FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid"
        # Of a superuser's session the admin may see little more than whose it is.
        " WHERE a.datname = %s AND a.usesysid IS NOT NULL",
        params=[name],
    )


def list_prepared(name: str) -> Statement:
    """The prepared transactions of a database with their owners; anybody may see them."""
    return statement("SELECT gid, owner FROM pg_prepared_xacts WHERE database = %s", params=[name])


def keep_out(name: str, role: str) -> Statement:
    """Take the right to connect from everybody but the owner of a database."""
    return statement("REVOKE CONNECT ON DATABASE {} FROM PUBLIC, {}", name, role)


def terminate_sessions(name: str) -> Statement:
    """Ask every session of a database to end that the admin may end; does not wait for them."""
    return statement(
        "SELECT count(pg_terminate_backend(a.pid))"
        " FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid"
        " WHERE a.datname = {} AND NOT r.rolsuper",
        Text(name),
    )


def work_in_progress() -> Statement:
    """What sessions that may work for minutes are doing, with their ages in seconds.

    A database that is being copied is in nobody's catalog before it is complete; whoever makes it
    says so by the name of its session.
    """
    return statement(
        "SELECT substr(application_name, {}::int), extract(epoch FROM now() - backend_start)::int"
        " FROM pg_stat_activity WHERE datname = current_database()"
        " AND starts_with(application_name, {}) ORDER BY backend_start",
        Text(str(len(AT_WORK) + 1)),
        Text(AT_WORK),
    )


def own_public_schema() -> list[Statement]:
    """Inside a new database: the shared owner owns `public`, and nobody else creates there."""
    return [
        statement("ALTER SCHEMA public OWNER TO {}", OWNER),
        statement("REVOKE CREATE ON SCHEMA public FROM PUBLIC"),
    ]


def lock_fence(slot_id: str, fence: int) -> Statement:
    """Lock the slot's row if it is still leased under this fence; no row means it is not."""
    return statement(
        "SELECT 1 FROM slots WHERE slot_id = %s AND fence = %s AND lease_state = 'leased'"
        " FOR SHARE",
        params=[slot_id, fence],
    )
