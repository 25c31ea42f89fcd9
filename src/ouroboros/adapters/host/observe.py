"""What a health check sees of a host as root: listeners, disk, certificates, clocks, bindings."""

import os
import socket
import ssl
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg

from ouroboros.adapters.listeners import find_holder
from ouroboros.adapters.systemd import systemctl
from ouroboros.domain.database_url import DatabaseUrl

OK = "ok"
_ENOUGH_BYTES = 1 << 30
_CERTIFICATE_LEFT_S = 3600
_CLOCKS_APART_S = 2.0


def unit_state(unit: str) -> str:
    """`ok` when a unit runs; else what systemd says of it."""
    state = systemctl.show(unit)
    if state.get("LoadState") != "loaded":
        return "not installed"
    if state["ActiveState"] == "active":
        return OK
    return f"{state['ActiveState']} ({systemctl.exit_text(state)})"


def listener_owner(port: int, unit: str) -> str:
    """`ok` when the port is held by systemd or by the unit's main process; else by whom."""
    holder = find_holder(port)
    if holder.pid is None:
        return "nobody listens"
    expected = {1, int(systemctl.show(unit).get("MainPID", "0"))}
    return OK if holder.pid in expected else f"held by {holder}"


def database_binding(url: DatabaseUrl) -> str:
    """`ok` when the slot's URL leads its role into its database and no role above it."""
    try:
        with psycopg.connect(url.text(), connect_timeout=5) as connection:
            row = connection.execute(
                "SELECT current_database(), session_user, rolsuper OR rolcreaterole OR rolcreatedb"
                " FROM pg_roles WHERE rolname = session_user"
            ).fetchone()
    except psycopg.OperationalError as error:
        return f"not entered: {str(error).splitlines()[0][:120]}"
    if row is None or row[:2] != (url.database, url.user):
        return f"leads to {row}"
    return "the role may make roles or databases" if row[2] else OK


def disk_room(directory: Path) -> str:
    """`ok` when builds may run on this disk."""
    facts = os.statvfs(directory)
    free = facts.f_bavail * facts.f_frsize
    return OK if free >= _ENOUGH_BYTES and facts.f_favail else f"{free >> 20} MB are left"


def certificate(host_name: str, port: int = 443) -> str:
    """`ok` when the router shows a certificate that is good for another hour."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 5) as connection,
            context.wrap_socket(connection, server_hostname=host_name) as secured,
        ):
            shown = secured.getpeercert(binary_form=True) or b""
    except (OSError, ssl.SSLError) as error:
        return f"none shown: {error}"
    left_s = _expires_at(shown) - time.time()
    return OK if left_s > _CERTIFICATE_LEFT_S else f"ends in {left_s / 60:.0f} minutes"


def clock_against(control_dsn: str) -> str:
    """`ok` when this host's clock and PostgreSQL's, by which leases end, agree."""
    try:
        with psycopg.connect(control_dsn, connect_timeout=5) as connection:
            row = connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
    except psycopg.OperationalError as error:
        return f"PostgreSQL does not answer: {str(error).splitlines()[0][:120]}"
    apart_s = abs(float(row[0]) - time.time()) if row else 0.0
    return OK if apart_s < _CLOCKS_APART_S else f"{apart_s:.1f} s from PostgreSQL's"


def _expires_at(certificate_der: bytes) -> float:
    """The end of a certificate's validity; the standard library reads it from a file only."""
    pem = ssl.DER_cert_to_PEM_cert(certificate_der)
    descriptor = os.memfd_create("certificate")
    with os.fdopen(descriptor, "w") as file:
        file.write(pem)
        file.flush()
        decoded: Mapping[str, str] = ssl._ssl._test_decode_cert(  # type: ignore[attr-defined]
            f"/proc/self/fd/{descriptor}"
        )
    return ssl.cert_time_to_seconds(decoded["notAfter"])
