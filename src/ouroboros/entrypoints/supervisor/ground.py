"""What must hold before anything starts: a directory that takes files, one supervisor, no
leftovers of a predecessor, and free ports.

Each check is made before the first process is started, so that a refusal leaves nothing half
done.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from ouroboros.adapters.guard import ProcessEntry
from ouroboros.adapters.instance_record import read_instance
from ouroboros.adapters.leftovers import end_processes, instance_id, is_guard, is_marked, list_left
from ouroboros.adapters.listeners import require_free_port
from ouroboros.domain.errors import Failed, PreviewError, Refused
from ouroboros.entrypoints.supervisor.services import web_root
from ouroboros.settings import Settings

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
"""What the operating system says of a state directory that takes no files."""

_LOCK = "lock"
_ROOM_BYTES = 1024 * 1024
_GUARDS_END_WITHIN_S = 30.0


class InstanceLock:
    """The one supervisor of a state directory: an flock on `run/lock`, which holds our pid.

    The lock dies with the process, however it ends. The file is removed at the end, so whoever
    locks it checks that it is still the one in the directory.
    """

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / _LOCK
        self._fd = -1

    def __enter__(self) -> Self:
        while True:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
                os.close(fd)
                raise _already_running(self._path, holder) from error
            if self._is_in_place(fd):
                break
            os.close(fd)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd
        return self

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._fd)

    def _is_in_place(self, fd: int) -> bool:
        try:
            return self._path.stat().st_ino == os.fstat(fd).st_ino
        except FileNotFoundError:
            return False


def lock_holder(run_dir: Path) -> int | None:
    """The pid of the supervisor that runs in this directory, or None."""
    try:
        fd = os.open(run_dir / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(fd)
    return None


def make_directories(settings: Settings) -> None:
    """Make the state directory and prove that it takes files; raises `state_dir_unwritable`."""
    try:
        settings.state_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        settings.run_dir.mkdir(mode=0o755, exist_ok=True)
        settings.log_dir.mkdir(mode=0o700, exist_ok=True)
        trial = settings.run_dir / ".room"
        try:
            with trial.open("wb") as file:
                file.write(bytes(_ROOM_BYTES))
                file.flush()
                os.fsync(file.fileno())
        finally:
            trial.unlink(missing_ok=True)
    except OSError as error:
        raise state_dir_unwritable(settings, error) from error


def state_dir_unwritable(settings: Settings, error: OSError) -> Failed:
    """The error for a state directory that takes no files."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return Failed(
        "state_dir_unwritable",
        f"{error.filename or settings.state_dir}: {error.strerror}",
        "make room on that disk" if full else "make it writable, or set OUROBOROS_STATE_DIR",
    )


def end_leftovers(settings: Settings) -> list[int]:
    """End what a killed predecessor left; returns the pids. The caller holds the lock.

    Its guards are ending their processes already; those that are left after their time of grace
    are killed, found by their mark or by the recorded pid and start time.
    """
    instance = instance_id(settings.state_dir)
    record = read_instance(settings)

    def is_left(entry: ProcessEntry) -> bool:
        recorded = record is not None and record.owns(entry.pid, entry.started)
        return recorded or is_marked(entry, instance)

    found = list_left(is_left)
    deadline = time.monotonic() + _GUARDS_END_WITHIN_S
    while any(map(is_guard, list_left(is_left))) and time.monotonic() < deadline:
        time.sleep(0.02)
    if found:
        _stop_postgres(settings)
    end_processes(is_left)
    return [entry.pid for entry in found]


def clear_run_dir(settings: Settings) -> None:
    """Remove sockets and records, but not the lock; nothing of ours runs when this is called."""
    for path in settings.run_dir.iterdir():
        if path.name != _LOCK:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    if settings.local:
        # PostgreSQL's socket is elsewhere when the state directory's path is long.
        from ouroboros.adapters.cluster import embedded  # noqa: PLC0415 - imports a driver

        with contextlib.suppress(PreviewError):  # no PostgreSQL here: no socket of it either
            embedded.remove_runtime_files(embedded.plan_server(settings))


def require_free_ports(ports: Iterable[int]) -> None:
    """Check all ports; raises `port_in_use` for the first that is taken, naming the holder."""
    for port in ports:
        require_free_port(port)


def make_web_roots(settings: Settings) -> None:
    """Make the web roots of a state directory that is not the checkout's own."""
    for slot in settings.pool:
        root = web_root(settings, slot)
        (settings.state_dir / "web" / slot.id).mkdir(parents=True, exist_ok=True)
        if root.is_relative_to(settings.state_dir):
            root.mkdir(parents=True, exist_ok=True)
            placeholder = settings.home / slot.web_root / "index.html"
            if placeholder.is_file():
                shutil.copyfile(placeholder, root / "index.html")
            link = root / "live"
            if not link.is_symlink():
                link.symlink_to(Path("../../web") / slot.id)


def _stop_postgres(settings: Settings) -> None:
    """End a PostgreSQL without a supervisor in good order, which spares it a recovery."""
    if settings.local:
        from ouroboros.adapters.cluster import embedded  # noqa: PLC0415 - imports a driver

        with contextlib.suppress(PreviewError):  # no PostgreSQL here: none that runs either
            embedded.stop_leftover(embedded.plan_server(settings))


def _already_running(path: Path, holder: str) -> Refused:
    return Refused(
        "already_running",
        f"Ouroboros is up already in {path.parent.parent} (pid {holder or 'unknown'})",
        "ouroboros status, or ouroboros down",
        {"pid": int(holder) if holder.isdigit() else None},
    )
