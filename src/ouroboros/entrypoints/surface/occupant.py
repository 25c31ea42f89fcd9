"""Who holds a port: another surface like this one, or a process with a name.

Apart, because it is only needed when a start fails, and then reads /proc.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any


def surface_health(host: str, port: int) -> dict[str, Any]:
    """What `/health` on that port says, or an empty dictionary when it is no surface."""
    request = f"GET /health HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"
    received = b""
    try:
        with socket.create_connection((host.strip("[]"), port), timeout=2) as connection:
            connection.sendall(request.encode())
            while len(received) < 65536 and (part := connection.recv(65536)):
                received += part
        document = json.loads(received.partition(b"\r\n\r\n")[2])
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def describe(port: int) -> dict[str, Any]:
    """The process that listens on a port: `pid`, `process` and a `description` in words."""
    inodes = _listening_inodes(port)
    for name in os.listdir("/proc"):
        if name.isdigit() and _holds(name, inodes):
            words = _read(f"/proc/{name}/cmdline").replace("\0", " ").strip()
            return {"pid": int(name), "process": words, "description": f"process {name} ({words})"}
    return {"pid": None, "process": None, "description": "a process of another user"}


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in _read(table).splitlines()[1:]:
            columns = line.split()
            # 0A is TCP_LISTEN in include/net/tcp_states.h.
            if len(columns) > 9 and columns[3] == "0A" and columns[1].endswith(f":{port:04X}"):
                inodes.add(f"socket:[{columns[9]}]")
    return inodes


def _holds(pid: str, inodes: set[str]) -> bool:
    try:
        for handle in os.listdir(f"/proc/{pid}/fd"):
            if os.readlink(f"/proc/{pid}/fd/{handle}") in inodes:
                return True
    except OSError:
        return False
    return False


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
