"""What every use case of the slots' databases works with.

Short work that belongs to a reset borrows a connection of the control plane's pool; work that may
take long (copying, building, dropping) opens one of its own, without the pool's limits.
"""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection

from ouroboros.adapters.cluster.access import ClusterAccess
from ouroboros.adapters.cluster.catalog import server_identity
from ouroboros.adapters.cluster.failures import translated
from ouroboros.adapters.cluster.seed_files import SeedFile, read_file
from ouroboros.adapters.cluster.workshop import Workshop
from ouroboros.adapters.control.connection import ControlPool
from ouroboros.domain.errors import Failed
from ouroboros.domain.slot import Slot
from ouroboros.plans.databases import AT_WORK
from ouroboros.ports import CommandRunner
from ouroboros.settings import Settings

_SERVER_IDENTITY_AGE_S = 300.0
# A drop that waits for a frozen session, or a copy on a slow disk, is given up and tried again.
_LONG_STATEMENT = "900s"
_SPARE_BYTES = 64 << 20


@dataclass(slots=True)
class _Remembered:
    """What is costly to find out and seldom changes; guarded by a lock, shared by threads."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    files: dict[Path, tuple[tuple[int, ...], SeedFile]] = field(default_factory=dict)
    verifiers: dict[str, tuple[str, str]] = field(default_factory=dict)
    server: tuple[float, str] | None = None


@dataclass(frozen=True, slots=True)
class Workbench:
    """The control plane's pool, the cluster, the settings, and a runner for PostgreSQL's tools."""

    control: ControlPool
    access: ClusterAccess
    settings: Settings
    runner: CommandRunner
    programs: Path
    _remembered: _Remembered = field(default_factory=_Remembered)

    @contextmanager
    def borrowed(self, doing: str, wait_s: float = 10.0) -> Iterator[Connection[Any]]:
        """A connection of the pool, in autocommit; PostgreSQL's errors become ours."""
        with translated(doing), self.control.connection(timeout=wait_s) as connection:
            yield connection

    @contextmanager
    def own(self, doing: str) -> Iterator[Connection[Any]]:
        """A connection of our own as the admin, for work that may take minutes."""
        options = (
            f"-c statement_timeout={_LONG_STATEMENT} -c timezone=UTC"
            " -c client_connection_check_interval=500ms"
            # A process that is frozen inside a transaction must not keep a slot's row locked.
            " -c idle_in_transaction_session_timeout=15s"
        )
        with (
            translated(doing),
            psycopg.connect(
                self.access.admin_dsn(),
                autocommit=True,
                options=options,
                connect_timeout=10,
                application_name=AT_WORK + doing,
            ) as connection,
        ):
            yield connection

    def workshop(self, connection: Connection[Any]) -> Workshop:
        """The workshop, for a connection that holds its lock."""
        return Workshop(
            connection=connection,
            access=self.access,
            programs=self.programs,
            runner=self.runner,
            scratch_dir=self.settings.state_dir / "scratch",
            time_limit_s=float(self.settings.build_time_limit_s),
        )

    def require_room(self, needed_bytes: int, what: str) -> None:
        """Refuse to begin what would fill the disk of our own PostgreSQL (`disk_full`).

        A full disk in the middle would stop the server when it can write no WAL. An external
        server's disk cannot be seen from here.
        """
        if not self.settings.local:
            return
        place = self.settings.state_dir
        free = shutil.disk_usage(place).free
        if free < needed_bytes + _SPARE_BYTES:
            raise Failed(
                "disk_full",
                f"{what} needs {needed_bytes >> 20} MB and {_SPARE_BYTES >> 20} MB to spare, and"
                f" {place} has {free >> 20} MB free",
                "make room, or drop what is not used: ouroboros db list",
                {"needed_bytes": needed_bytes, "free_bytes": free, "place": str(place)},
            )

    def hashed(self, path: Path) -> SeedFile:
        """A file with its hash, which is taken anew only when the file was written to."""
        found = path.stat()
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        known = self._remembered.files.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        file = read_file(path)
        with self._remembered.lock:
            # A file written to in the clock tick in which it was read would be missed later.
            if time.time_ns() - found.st_mtime_ns > 2_000_000_000:
                self._remembered.files[path] = (stamp, file)
        return file

    def server(self, connection: Connection[Any]) -> str:
        """What of the server decides the result of a seed; looked up every five minutes."""
        known = self._remembered.server
        now = time.monotonic()
        if known is None or now - known[0] > _SERVER_IDENTITY_AGE_S:
            known = (now, server_identity(connection))
            self._remembered.server = known
        return known[1]

    def verifier(self, slot: Slot) -> str:
        """The SCRAM verifier of a slot's password; made once, since making one takes time."""
        role = slot.database.role
        password = self.access.password(role)
        known = self._remembered.verifiers.get(role)
        if known is None or known[0] != password:
            known = (password, self.access.verifier(role))
            self._remembered.verifiers[role] = known
        return known[1]


def now_text() -> str:
    """The time of day in UTC, as it stands in marks."""
    return datetime.now(UTC).isoformat(timespec="seconds")
