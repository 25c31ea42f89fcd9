"""What a surface tells about itself, on a unix socket that no visitor can reach.

Apart from the surface that is measured. The format is that of Prometheus, version 0.0.4.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from ouroboros.entrypoints.surface.surface import Surface


METRICS = {
    "surface_answers_total": ("counter", "answers, by their status"),
    "surface_proxied_total": ("counter", "requests that were passed on to the backend"),
    "surface_switches_total": ("counter", "releases that were switched to"),
    "surface_connections": ("gauge", "open connections of visitors"),
    "surface_backend_connections": ("gauge", "open connections to the backend"),
    "surface_backend_waiting": ("gauge", "requests that wait for a connection to the backend"),
    "surface_backend_down": ("gauge", "1 while the backend does not answer"),
    "surface_resident_bytes": ("gauge", "the resident set of the process"),
}
"""Every metric: its type, and what it counts."""


class MetricsConnection(asyncio.Protocol):
    """Answers whatever is asked with the metrics, once."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; asyncio calls this once."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:  # noqa: ARG002
        """Answer and close."""
        body = metrics(self._surface).encode()
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self._transport.write(head.encode() + body)
        self._transport.close()


def metrics(surface: Surface) -> str:
    """The metrics as text; counters since the start of the process."""
    slot = f'slot="{surface.options.slot_id}"'
    lines = _head("surface_answers_total")
    for status, count in sorted(surface.count.items()):
        lines.append(f'surface_answers_total{{{slot},status="{status}"}} {count}')
    values = {
        "surface_proxied_total": surface.proxied,
        "surface_switches_total": surface.switches,
        "surface_connections": len(surface.clients),
        "surface_backend_connections": len(surface.pool.open),
        "surface_backend_waiting": surface.pool.waiting,
        "surface_backend_down": int(surface.pool.is_down),
        "surface_resident_bytes": resident_bytes(),
    }
    for name, value in values.items():
        lines += [*_head(name), f"{name}{{{slot}}} {value}"]
    return "\n".join(lines) + "\n"


def _head(name: str) -> list[str]:
    kind, told = METRICS[name]
    return [f"# HELP {name} {told}", f"# TYPE {name} {kind}"]


def resident_bytes() -> int:
    """The resident set of this process (proc_pid_statm(5))."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
