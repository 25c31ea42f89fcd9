# ruff: noqa: S608 - every name in these statements is a constant of ours
"""The host's own PostgreSQL: the administrator's role, the control database, and who may enter.

Spoken to by psql(1) as the user `postgres`, because that is who may everything there by peer
authentication, and what is done by it is little. Slots' roles come later, from the administrator.
"""

import base64
import hashlib
import hmac
import os
import secrets
import subprocess
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ouroboros.adapters.host.files import Difference
from ouroboros.domain.errors import Failed
from ouroboros.plans.postgres_config import ADMIN, CONTROL_DATABASE, OWNER
from ouroboros.plans.rehearsal import REHEARSAL

_BEGIN = "# BEGIN ouroboros (scripts/preview-slots-provision.sh)"
_END = "# END ouroboros"
_HBA = f"""{_BEGIN}
# A slot's role enters the database of its own name, by the unix socket and with its password.
local all {ADMIN} scram-sha-256
local {REHEARSAL} {REHEARSAL} scram-sha-256
local sameuser +{OWNER} scram-sha-256
local all +{OWNER} reject
host all +{OWNER} all reject
host all {ADMIN} all reject
{_END}
"""
_ITERATIONS = 4096


def control_dsn(password: str) -> str:
    """The URL of the control database for our services."""
    return f"postgresql://{ADMIN}:{password}@/{CONTROL_DATABASE}?host=/var/run/postgresql"


def is_of_host(dsn: str) -> bool:
    """Whether this is the URL of the host's own cluster, which provisioning prepares."""
    return dsn == control_dsn(_password(dsn))


def compare_cluster(dsn: str) -> list[Difference]:
    """What the cluster lacks; empty when the control plane can work with it."""
    found = []
    hba = _hba_file()
    if _HBA not in hba.read_text(encoding="utf-8"):
        found.append(Difference("pg_hba", str(hba), "insert the lines of the slots' roles", _HBA))
    try:
        with psycopg.connect(dsn, connect_timeout=5) as connection:
            row = connection.execute(
                "SELECT r.rolcreatedb AND r.rolcreaterole AND NOT r.rolsuper"
                " AND to_regprocedure('public.ouroboros_password_is(name, text)') IS NULL"
                " AND NOT has_database_privilege('public', current_database(), 'CONNECT')"
                " FROM pg_roles r WHERE r.rolname = current_user"
            ).fetchone()
        if row is None or not row[0]:
            found.append(Difference("role", ADMIN, "update"))
    except psycopg.OperationalError:
        found.append(Difference("role", ADMIN, f"create, with the database {CONTROL_DATABASE}"))
    return found


def apply_cluster(dsn: str) -> None:
    """Bring it about; may be repeated. Raises `postgres_not_prepared`."""
    hba = _hba_file()
    text = hba.read_text(encoding="utf-8")
    if _HBA not in text:
        _replace(hba, _HBA + _without_ours(text))
        _psql("SELECT pg_reload_conf()")
    may = "LOGIN NOSUPERUSER CREATEDB CREATEROLE NOREPLICATION NOBYPASSRLS"
    if not _psql(f"SELECT 1 FROM pg_roles WHERE rolname = '{ADMIN}'"):
        _psql(f"CREATE ROLE {ADMIN}")
    _psql(f"ALTER ROLE {ADMIN} {may} PASSWORD '{_verifier(_password(dsn))}'")
    _psql(f"GRANT pg_signal_backend TO {ADMIN}")
    _psql("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
    if not _psql(f"SELECT 1 FROM pg_database WHERE datname = '{CONTROL_DATABASE}'"):
        _psql(f"CREATE DATABASE {CONTROL_DATABASE} OWNER {ADMIN}")
    _psql(f"REVOKE ALL ON DATABASE {CONTROL_DATABASE} FROM PUBLIC")
    _psql(_REMOVED_FUNCTION, CONTROL_DATABASE)


def remove_cluster(*, with_data: bool) -> None:
    """Take our lines out of pg_hba.conf; with data also every database and role of ours."""
    if with_data:
        ours = f"datname = '{CONTROL_DATABASE}' OR datname ~ '^(app_preview_[0-9]|ouroboros_)'"
        names = f"SELECT datname FROM pg_database WHERE {ours}"
        for name in _psql(names).split():
            _psql(f"ALTER DATABASE {name} IS_TEMPLATE false")
            _psql(f"DROP DATABASE {name} WITH (FORCE)")
        roles = f"rolname = '{OWNER}' OR rolname ~ '^(app_preview_[0-9]+$|ouroboros_)'"
        found = _psql(f"SELECT rolname FROM pg_roles WHERE {roles}").split()
        if found:
            _psql(f"DROP OWNED BY {', '.join(found)}; DROP ROLE {', '.join(found)}")
    hba = _hba_file()
    text = hba.read_text(encoding="utf-8")
    if _BEGIN in text:
        _replace(hba, _without_ours(text))
        _psql("SELECT pg_reload_conf()")


_REMOVED_FUNCTION = "DROP FUNCTION IF EXISTS public.ouroboros_password_is(name, text)"
"""Of an earlier version, and the superuser's (ADR 0014)."""


def _psql(sql: str, database: str = "postgres") -> str:
    """Run SQL, which comes by standard input because it may hold a verifier."""
    done = subprocess.run(
        ("runuser", "-u", "postgres", "--", "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", database),
        input=sql,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Failed(
            "postgres_not_prepared",
            f"psql as postgres: {done.stderr.strip()[-400:]}",
            "systemctl status postgresql; apt-get install postgresql",
        )
    return done.stdout.strip()


def _password(dsn: str) -> str:
    return str(conninfo_to_dict(dsn).get("password", ""))


def _hba_file() -> Path:
    return Path(_psql("SHOW hba_file"))


def _without_ours(text: str) -> str:
    before, begun, rest = text.partition(_BEGIN)
    return before + rest.partition(f"{_END}\n")[2] if begun else text


def _replace(path: Path, text: str) -> None:
    """Write a file in its place, with the owner and mode it has."""
    facts = path.stat()
    draft = path.with_name(f".{path.name}.ouroboros")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(facts.st_mode & 0o777)
    os.chown(draft, facts.st_uid, facts.st_gid)
    draft.replace(path)


def _verifier(password: str) -> str:
    """A SCRAM verifier (RFC 5803), so that no log of the server can show the password."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = (salt, hashlib.sha256(client).digest(), server)
    encoded_salt, stored, server_key = (base64.b64encode(part).decode() for part in parts)
    return f"SCRAM-SHA-256${_ITERATIONS}:{encoded_salt}${stored}:{server_key}"
