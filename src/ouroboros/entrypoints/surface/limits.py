"""The limits of a surface: sizes, counts and times, in one value.

Apart, so that a test can shrink every one of them and a reader finds all of them on one page. A
named tuple, as the other values of the surface are: to make a frozen dataclass costs 0.6 ms of
each start, and there were nine.
"""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Bounds that hold for every client; units stand in the names."""

    connections: int = 8192
    head_bytes: int = 32 * 1024
    target_bytes: int = 8 * 1024
    fields: int = 100
    body_bytes: int = 16 * 1024**3
    trailer_bytes: int = 8 * 1024
    head_s: float = 10.0
    idle_s: float = 75.0
    body_grace_s: float = 10.0
    body_bytes_per_s: int = 500
    stalled_s: float = 60.0
    half_closed_s: float = 10.0
    linger_s: float = 2.0
    linger_bytes: int = 1024 * 1024
    drain_s: float = 10.0
    upstream_connections: int = 1024
    upstream_idle_s: float = 4.0
    upstream_wait_s: float = 10.0
    upstream_switch_s: float = 60.0
    upstream_connect_s: float = 5.0
    upstream_head_s: float = 120.0
    upstream_silent_s: float = 3600.0
    upstream_retry_s: float = 0.05
    upstream_waiting: int = 1024
    upstream_head_bytes: int = 64 * 1024
    informational: int = 16
    memo_entries: int = 512
    memo_head_bytes: int = 2048
    memo_line_bytes: int = 512
    memo_body_bytes: int = 512 * 1024
