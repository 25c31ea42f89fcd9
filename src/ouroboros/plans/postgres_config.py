"""The configuration of our own PostgreSQL: postgresql.conf and pg_hba.conf as text.

It is rendered anew at every start, so an edit by hand never decides who may log in. Sources:
PostgreSQL manual, chapters 20 (server configuration) and 21.1 (the pg_hba.conf file).
"""

from pathlib import Path

SUPERUSER = "ouroboros_root"
ADMIN = "ouroboros_admin"
LOADER = "ouroboros_loader"
OWNER = "app_owner"
CONTROL_DATABASE = "ouroboros_control"

_HEADER = "# Written by Ouroboros at every start; changes here are lost.\n"

# Sized for a small host that also builds and serves; wal_level stays at replica, because clones
# made under wal_level=minimal were broken after a crash.
_SETTINGS = {
    "listen_addresses": "''",
    "port": "5432",
    "max_connections": "100",
    "superuser_reserved_connections": "5",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "wal_level": "replica",
    "max_wal_senders": "0",
    "max_prepared_transactions": "0",
    "password_encryption": "scram-sha-256",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "lc_messages": "'C'",
    "jit": "off",
    # What a killed process of ours had begun ends soon, and with it the locks it held.
    "client_connection_check_interval": "500ms",
    "log_line_prefix": "'%m [%p] %q%u@%d '",
    "logging_collector": "off",
}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def render_postgresql_conf(
    data_dir: Path, config_dir: Path, socket_dir: Path, *, socket_mode: int, durable: bool
) -> str:
    """postgresql.conf; `durable=False` is for tests that never lose power."""
    settings = {
        "data_directory": _quoted(str(data_dir)),
        "hba_file": _quoted(str(config_dir / "pg_hba.conf")),
        "ident_file": _quoted(str(config_dir / "pg_ident.conf")),
        "unix_socket_directories": _quoted(_as_list_item(str(socket_dir))),
        "unix_socket_permissions": f"0{socket_mode:o}",
        **_SETTINGS,
        **({} if durable else _NOT_DURABLE),
    }
    return _HEADER + "".join(f"{key} = {value}\n" for key, value in settings.items())


def render_pg_hba() -> str:
    """pg_hba.conf: ours enter everywhere, everybody else only the database of their own name.

    `sameuser` compares the name of the database asked for with the role, so a slot's role cannot
    enter a neighbour, a standby or a template even where PUBLIC may still connect. There is no
    line for TCP, and nobody is trusted.
    """
    lines = [
        f"local all {SUPERUSER} scram-sha-256",
        f"local all {ADMIN} scram-sha-256",
        "local sameuser all scram-sha-256",
        "local all all reject",
    ]
    return _HEADER + "".join(f"{line}\n" for line in lines)


def _quoted(text: str) -> str:
    """A string of postgresql.conf (manual 20.1.1)."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _as_list_item(path: str) -> str:
    """A directory in a comma-separated list, in which spaces and commas need quotes."""
    return '"' + path.replace('"', '""') + '"'
