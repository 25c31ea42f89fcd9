"""What the doctor asks a cluster, as statements that anybody may run who can log in.

Nothing here changes anything, and nothing here reads a slot's database from inside.
"""

from ouroboros.plans.sql import Statement, statement


def server_facts() -> Statement:
    """One row: what the role that asks may do, and the settings that decide what is safe."""
    return statement(
        "SELECT r.rolsuper, r.rolcreatedb, r.rolcreaterole,"
        " pg_has_role(current_user, 'pg_signal_backend', 'MEMBER'),"
        " current_setting('max_prepared_transactions')::int,"
        " current_setting('fsync')::bool AND current_setting('full_page_writes')::bool,"
        " current_setting('max_connections')::int"
        "   - current_setting('superuser_reserved_connections')::int,"
        " coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)"
        " FROM pg_roles r WHERE r.rolname = current_user"
    )


def databases_open_to_everyone() -> Statement:
    """Databases that anybody who can log in may enter, unless pg_hba.conf says otherwise."""
    return statement(
        "SELECT d.datname FROM pg_database d WHERE d.datallowconn AND EXISTS"
        " (SELECT FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a"
        "  WHERE a.grantee = 0 AND a.privilege_type = 'CONNECT') ORDER BY 1"
    )


def can_read_hba() -> Statement:
    """Whether the rules of pg_hba.conf may be read: superusers, and whom they allow it."""
    return statement(
        "SELECT has_table_privilege('pg_hba_file_rules', 'SELECT')"
        " AND has_function_privilege('pg_hba_file_rules()', 'EXECUTE')"
    )


def hba_rules() -> Statement:
    """The rules as they stand in the file, with what is wrong with a line."""
    return statement(
        "SELECT line_number, coalesce(type, ''), coalesce(database, '{{}}'),"
        " coalesce(user_name, '{{}}'), coalesce(auth_method, ''), coalesce(error, '')"
        " FROM pg_hba_file_rules ORDER BY line_number"
    )


def slot_roles() -> Statement:
    """Every role of a slot, with what it has and must not have."""
    return statement(
        "SELECT r.rolname, ARRAY(SELECT word FROM (VALUES (r.rolsuper, 'SUPERUSER'),"
        " (r.rolcreatedb, 'CREATEDB'), (r.rolcreaterole, 'CREATEROLE'),"
        " (r.rolreplication, 'REPLICATION'), (r.rolbypassrls, 'BYPASSRLS')) v (has, word)"
        " WHERE has),"
        " ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid"
        "  WHERE m.member = r.oid AND g.rolname <> 'app_owner' ORDER BY 1)"
        " FROM pg_roles r WHERE r.rolname ~ '^app_preview_[1-9][0-9]{{0,2}}$' ORDER BY 1"
    )


def prepared_transactions() -> Statement:
    """Prepared transactions in databases of ours, with their age in seconds."""
    return statement(
        "SELECT p.gid, p.database, extract(epoch FROM now() - p.prepared)::int"
        " FROM pg_prepared_xacts p WHERE p.database ~ '^(app_preview|ouroboros)_'"
        " ORDER BY p.prepared"
    )


def replication_slots() -> Statement:
    """Replication slots in databases of ours: each keeps WAL for ever and stops a drop."""
    return statement(
        "SELECT slot_name, database FROM pg_replication_slots"
        " WHERE database ~ '^(app_preview|ouroboros)_' ORDER BY 1"
    )


def advisory_locks_held() -> Statement:
    """The two keys of every lock of ours that somebody holds now."""
    return statement(
        "SELECT DISTINCT classid::bigint, objid::bigint FROM pg_locks"
        " WHERE locktype = 'advisory' AND granted AND objsubid = 2"
    )


def oids() -> Statement:
    """The OID of every database, which names its directory below `base/`."""
    return statement("SELECT oid::bigint FROM pg_database")
