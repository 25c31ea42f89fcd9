"""Our own PostgreSQL: where it lives, as which OS user it runs, and how it is made and reached.

It listens on a unix socket only. PostgreSQL refuses to run as root, so root hands it to another
user; nothing outside the state directory is changed for that (no mode of a parent directory, no
new user). Starting the process itself is the supervisor's work: here is the argv for it.
"""

import contextlib
import hashlib
import os
import pwd
import shutil
import signal
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

from ouroboros.adapters.cluster.access import ClusterAccess
from ouroboros.adapters.cluster.binaries import find_binaries
from ouroboros.adapters.cluster.os_user import become, choose_os_user, give_to
from ouroboros.domain.command import Command
from ouroboros.domain.errors import Failed, Refused, TimedOut
from ouroboros.plans.postgres_config import (
    SUPERUSER,
    render_pg_hba,
    render_postgresql_conf,
)
from ouroboros.ports import CommandRunner
from ouroboros.settings import Settings

STOP_SIGNAL = signal.SIGINT
"""Fast shutdown (PostgreSQL manual 19.5): ends sessions, keeps everything that was committed."""

_PORT = 5432
_SOCKET_PATH_LIMIT_BYTES = 100  # sockaddr_un holds 107, PostgreSQL appends `.lock`


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """Everything that must be known to make, start, reach and stop our own PostgreSQL."""

    bin_dir: Path
    data_dir: Path
    config_dir: Path
    socket_dir: Path
    secrets_dir: Path
    log_path: Path
    os_user: str | None
    """The OS user it runs as; None: the user that we are."""

    @property
    def places(self) -> tuple[Path, ...]:
        """What its OS user must be able to reach."""
        return (self.data_dir, self.socket_dir, self.config_dir, self.bin_dir)

    @property
    def access(self) -> ClusterAccess:
        """How to connect to it."""
        return ClusterAccess(str(self.socket_dir), _PORT, self.secrets_dir)


def plan_server(settings: Settings) -> EmbeddedServer:
    """Decide where and as whom our PostgreSQL runs; changes nothing.

    Raises `postgres_not_found`.
    """
    state = settings.state_dir
    return EmbeddedServer(
        bin_dir=find_binaries(settings.pg_bin),
        data_dir=state / "postgres",
        config_dir=state / "postgres-config",
        socket_dir=_socket_dir(settings),
        secrets_dir=settings.secrets_dir,
        log_path=settings.log_dir / "postgres.log",
        os_user=choose_os_user(),
    )


def initialise(server: EmbeddedServer, runner: CommandRunner, *, durable: bool = True) -> None:
    """Make the cluster unless there is one, and write its configuration; may be repeated.

    `durable=False` trades safety on power loss for speed and is for tests. Raises
    `state_dir_unwritable`, `socket_dir_unsafe`, `initdb_failed`.
    """
    try:
        server.data_dir.parent.mkdir(parents=True, exist_ok=True)
        _make_socket_dir(server)
        _write_config(server, durable)
        if not (server.data_dir / "PG_VERSION").exists():
            _initdb(server, runner, durable)
    except OSError as error:
        raise Failed(
            "state_dir_unwritable",
            f"{error.filename or server.data_dir}: {error.strerror}",
            "make room or make the state directory writable, or set OUROBOROS_STATE_DIR",
        ) from error


def server_argv(server: EmbeddedServer) -> tuple[str, ...]:
    """The command that runs the server in the foreground; start it with `server_env`."""
    config = server.config_dir / "postgresql.conf"
    postgres = str(server.bin_dir / "postgres")
    return (
        *become(server.os_user, server.places),
        postgres,
        "-D",
        str(server.data_dir),
        "-c",
        f"config_file={config}",
    )


def server_env() -> dict[str, str]:
    """The whole environment of PostgreSQL's own programs."""
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def wait_until_ready(server: EmbeddedServer, time_limit_s: float) -> None:
    """Wait until the server answers a query; raises `postgres_not_ready` with its last words."""
    deadline = time.monotonic() + time_limit_s
    while True:
        try:
            with psycopg.connect(server.access.superuser_dsn(), connect_timeout=2):
                return
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise TimedOut(
                    "postgres_not_ready",
                    f"PostgreSQL does not answer after {time_limit_s:g} s: {error}",
                    f"see {server.log_path}",
                    {"log": _last_lines(server.log_path)},
                ) from error
        time.sleep(0.02)


def stop_leftover(server: EmbeddedServer, time_limit_s: float = 20.0) -> list[int]:
    """End every PostgreSQL process that still works in our data directory; returns their pids.

    Needed after the supervisor was killed: the postmaster lives on, or was killed itself and left
    sessions behind, which would keep a new one from starting. A stale postmaster.pid alone is
    PostgreSQL's own business. May be repeated.
    """
    pids = _processes_in(server.data_dir)
    deadline = time.monotonic() + time_limit_s
    # Fast, then immediate shutdown: a server that was killed with -9 recovers from its WAL.
    for number, share in ((STOP_SIGNAL, 0.5), (signal.SIGQUIT, 0.8), (signal.SIGKILL, 1.0)):
        limit = deadline - time_limit_s * (1 - share)
        _signal_postmaster_first(server, number)
        while _processes_in(server.data_dir) and time.monotonic() < limit:
            time.sleep(0.02)
    return pids


def remove_runtime_files(server: EmbeddedServer) -> None:
    """Remove the socket directory of a server that has ended."""
    shutil.rmtree(server.socket_dir, ignore_errors=True)


def _initdb(server: EmbeddedServer, runner: CommandRunner, durable: bool) -> None:
    """Make the cluster beside its place and rename it: an interrupted initdb is never used."""
    draft = server.data_dir.with_name(f"{server.data_dir.name}.initializing")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    give_to(server.os_user, draft)
    with tempfile.TemporaryDirectory(dir=server.config_dir, prefix="initdb-") as directory:
        password_file = Path(directory) / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(server.access.password(SUPERUSER) + "\n", encoding="ascii")
        give_to(server.os_user, Path(directory))
        give_to(server.os_user, password_file)
        finished = runner.run(
            Command(
                argv=(
                    *become(server.os_user, server.places),
                    str(server.bin_dir / "initdb"),
                    "--pgdata",
                    str(draft),
                    "--username",
                    SUPERUSER,
                    "--pwfile",
                    str(password_file),
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    *(() if durable else ("--no-sync",)),
                ),
                cwd=Path("/"),
                env=server_env(),
                time_limit_s=300,
            )
        )
    if not finished.succeeded:
        shutil.rmtree(draft, ignore_errors=True)
        raise Failed(
            "initdb_failed",
            f"initdb ended with status {finished.exit_status}",
            "see the output; the disk may be full",
            {"output": finished.output[-4000:]},
        )
    draft.rename(server.data_dir)


def _write_config(server: EmbeddedServer, durable: bool) -> None:
    """Write the configuration files, readable and not writable for the server."""
    server.config_dir.mkdir(exist_ok=True)
    server.config_dir.chmod(0o755)
    files = {
        "postgresql.conf": render_postgresql_conf(
            server.data_dir,
            server.config_dir,
            server.socket_dir,
            socket_mode=0o700 if server.os_user is None else 0o777,
            durable=durable,
        ),
        "pg_hba.conf": render_pg_hba(),
        "pg_ident.conf": "",
    }
    for name, text in files.items():
        draft = server.config_dir / f".{name}.new"
        draft.write_text(text, encoding="utf-8")
        draft.chmod(0o644)
        draft.rename(server.config_dir / name)


def _make_socket_dir(server: EmbeddedServer) -> None:
    """Make the directory of the socket; where it was made by a stranger, refuse it.

    Under root the processes of slots may run as other users, who must reach the socket; who may
    log in is decided by passwords and pg_hba. Otherwise only we reach it.
    """
    server.socket_dir.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        server.socket_dir.mkdir(mode=0o700)
        give_to(server.os_user, server.socket_dir)
    found = server.socket_dir.lstat()
    owner = os.geteuid() if server.os_user is None else pwd.getpwnam(server.os_user).pw_uid
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner:
        raise Refused(
            "socket_dir_unsafe",
            f"{server.socket_dir} belongs to uid {found.st_uid}, not to uid {owner}",
            f"remove {server.socket_dir}, or set OUROBOROS_STATE_DIR to a shorter path",
        )
    server.socket_dir.chmod(0o700 if server.os_user is None else 0o711)


def _socket_dir(settings: Settings) -> Path:
    wanted = settings.run_dir / "postgres"
    if len(os.fsencode(wanted / f".s.PGSQL.{_PORT}")) < _SOCKET_PATH_LIMIT_BYTES:
        return wanted
    digest = hashlib.sha256(os.fsencode(settings.state_dir)).hexdigest()[:16]
    return Path("/tmp") / f"ouroboros-{os.geteuid()}-{digest}"  # noqa: S108 - owner is checked


def _processes_in(data_dir: Path) -> list[int]:
    """Processes of PostgreSQL whose working directory is the data directory (always so)."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                at_home = (entry / "cwd").readlink() == data_dir.resolve()
                if at_home and (entry / "exe").readlink().name.startswith("postgres"):
                    found.append(int(entry.name))
            except OSError:
                continue  # another user's process, or one that has just ended
    return sorted(found)


def _signal_postmaster_first(server: EmbeddedServer, number: signal.Signals) -> None:
    """Signal the postmaster, which ends its sessions; sessions without one are signalled all."""
    pids = _processes_in(server.data_dir)
    parents = {pid: _parent_of(pid) for pid in pids}
    targets = [pid for pid in pids if parents[pid] not in pids]
    if number is signal.SIGKILL:
        targets = pids
    for pid in targets:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _parent_of(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[1])


def _last_lines(path: Path, count: int = 20) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
    except OSError:
        return []
