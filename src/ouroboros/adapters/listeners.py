"""Listeners: who holds a TCP port of this host.

Decides by trying to bind, and by the kernel's tables for the name of the holder, because
"address already in use" without a name helps nobody.
"""

import errno
import socket
from dataclasses import dataclass
from pathlib import Path

from ouroboros.domain.errors import Refused

LOOPBACK = "127.0.0.1"
_LISTEN = "0A"
_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Holder:
    """The process behind a listening port; without a pid when it belongs to another user."""

    port: int
    pid: int | None = None
    command: str = ""

    def __str__(self) -> str:
        if self.pid is None:
            return "a process of another user"
        return f"pid {self.pid} ({self.command})"


def open_listener(port: int) -> socket.socket:
    """Bind and listen on the loopback address; port 0 takes a free one.

    Raises `port_in_use`, naming the holder.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno != errno.EADDRINUSE:
            raise
        raise port_in_use(find_holder(port)) from error
    return listener


def require_free_port(port: int) -> None:
    """Check that a port of the loopback address can be bound; raises `port_in_use`."""
    open_listener(port).close()


def port_in_use(holder: Holder) -> Refused:
    """The error that says by whom a port is taken."""
    return Refused(
        "port_in_use",
        f"port {holder.port} is taken by {holder}",
        f"end it (kill {holder.pid or 'PID'}), or choose other ports: docs/local-mode.md",
        {"port": holder.port, "pid": holder.pid, "holder": holder.command},
    )


def find_holder(port: int) -> Holder:
    """Who listens on a port (any address, IPv4 or IPv6); without a pid when it cannot be seen."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for process in Path("/proc").iterdir():
        if inodes and process.name.isdigit() and _holds(process, inodes):
            return Holder(port, int(process.name), _command_of(process))
    return Holder(port)


def listens_in(port: int, pids: set[int]) -> bool:
    """Whether one of these processes listens on the port."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    return bool(inodes) and any(_holds(Path("/proc") / str(pid), inodes) for pid in pids)


def _listening_inodes(port: int) -> set[str]:
    """The socket inodes that listen on a port (proc_net(5): local_address, st, inode)."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(fields[9])
    return found


def _holds(process: Path, links: set[str]) -> bool:
    try:
        return any(str(fd.readlink()) in links for fd in (process / "fd").iterdir())
    except OSError:
        return False


def _command_of(process: Path) -> str:
    try:
        argv = (process / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return ""
    return b" ".join(argv).decode("utf-8", "replace")[:200]
