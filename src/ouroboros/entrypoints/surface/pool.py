"""Connections to the slot's backend: kept, counted, and waited for while the backend is away.

Apart from the exchange that uses a connection. A request waits here with nothing of it sent, so
waiting and connecting again is never a retry.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from typing import TYPE_CHECKING

from ouroboros.entrypoints.surface.refusal import Refusal
from ouroboros.entrypoints.surface.upstream import Upstream

if TYPE_CHECKING:
    from ouroboros.entrypoints.surface.exchange import Exchange
    from ouroboros.entrypoints.surface.surface import Surface

_TARGET = re.compile(r"http://(127\.\d+\.\d+\.\d+|localhost|\[::1\]):(\d{1,5})/?")


class Target:
    """Where the backend listens: a literal loopback address or a unix socket."""

    __slots__ = ("address", "host", "path", "port")

    def __init__(self, address: str) -> None:
        """Raises `ValueError` for anything that is not on this machine."""
        self.address = address
        self.host, self.path, self.port = "", "", 0
        if address.startswith("unix:/"):
            self.path = address[len("unix:") :]
            return
        match = _TARGET.fullmatch(address)
        if match is None or not 0 < int(match.group(2)) < 65536:
            raise ValueError(f"not a loopback address or unix socket: {address!r}")
        # The literal address: a stranger could listen on ::1 beside a backend on 127.0.0.1.
        self.host = match.group(1).strip("[]").replace("localhost", "127.0.0.1")
        self.port = int(match.group(2))


class Pool:
    """The connections to one backend and the requests that wait for one."""

    def __init__(self, surface: Surface, target: Target) -> None:
        self._surface = surface
        self._target = target
        self._idle: list[Upstream] = []
        self._waiting: deque[Exchange] = deque()
        self._connecting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._held_until = 0.0
        self.open: set[Upstream] = set()
        self.is_down = False
        self.last_error = ""

    @property
    def waiting(self) -> int:
        """How many requests wait for a connection."""
        return len(self._waiting)

    @property
    def is_held(self) -> bool:
        """Whether nothing may be sent to the backend now."""
        return self._held_until != 0

    @property
    def in_flight(self) -> int:
        """How many requests the backend has and has not answered yet; tunnels do not count."""
        return sum(1 for upstream in self.open if upstream.exchange is not None)

    def hold(self, until: float) -> None:
        """Let requests wait until then (epoch seconds), while the backend is being replaced.

        What it has already goes on; idle connections are closed. A time that is over lets the
        waiting requests go.
        """
        if until > time.time():
            self._held_until = until
            while self._idle:
                self._idle.pop().close()
        elif self.is_held:
            self._held_until = 0
            if self._waiting:
                self._connect_more()

    def submit(self, exchange: Exchange) -> None:
        """Forward a request on a connection, now or as soon as there is one.

        Raises `Refusal` (503) when too many requests are waiting already.
        """
        while self._idle:
            upstream = self._idle.pop()
            if upstream.is_usable():
                exchange.forward(upstream)
                return
            upstream.close()
        if len(self._waiting) >= self._surface.limits.upstream_waiting:
            raise Refusal(503, "backend_busy", "Too many requests wait for the backend.")
        self._waiting.append(exchange)
        self._connect_more()

    def withdraw(self, exchange: Exchange) -> None:
        """A request that waits is no longer wanted, or has waited long enough."""
        if exchange in self._waiting:
            self._waiting.remove(exchange)

    def give_back(self, upstream: Upstream) -> None:
        """Take a connection whose exchange has ended cleanly."""
        if self.is_held:
            upstream.close()
            return
        upstream.idle_since = self._surface.now
        self._idle.append(upstream)
        if self._waiting:
            self.submit(self._waiting.popleft())

    def forget(self, upstream: Upstream) -> None:
        """A connection has ended."""
        self.open.discard(upstream)
        if upstream in self._idle:
            self._idle.remove(upstream)
        if self._waiting:
            self._connect_more()

    def tick(self) -> None:
        """Close connections that were idle too long: backends end theirs at five seconds.

        A hold that nobody has ended ends here, too.
        """
        self.hold(self._held_until)
        oldest = self._surface.now - self._surface.limits.upstream_idle_s
        while self._idle and self._idle[0].idle_since <= oldest:
            self._idle.pop(0).close()

    def close(self) -> None:
        """End every connection and every attempt."""
        if self._retry is not None:
            self._retry.cancel()
        for task in self._tasks:
            task.cancel()
        for upstream in list(self.open):
            upstream.close()

    def _connect_more(self) -> None:
        if self.is_held:
            return
        allowed = self._surface.limits.upstream_connections - len(self.open)
        wanted = 1 if self.is_down else len(self._waiting)
        while self._connecting < min(wanted, allowed) and self._retry is None:
            self._connecting += 1
            task = asyncio.ensure_future(self._connect())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> None:
        loop = self._surface.loop
        try:
            async with asyncio.timeout(self._surface.limits.upstream_connect_s):
                if self._target.path:
                    _, upstream = await loop.create_unix_connection(
                        lambda: Upstream(self._surface, self), self._target.path
                    )
                else:
                    _, upstream = await loop.create_connection(
                        lambda: Upstream(self._surface, self), self._target.host, self._target.port
                    )
        except OSError as error:  # a time-out is one, too
            self._connecting -= 1
            self.is_down = True
            self.last_error = "timed out" if isinstance(error, TimeoutError) else "refused"
            self._fail_or_wait()
            return
        self._connecting -= 1
        self.is_down = False
        self.give_back(upstream)
        if self._waiting and not self.is_held:
            self._connect_more()

    def _fail_or_wait(self) -> None:
        """Nobody answers: those for whom waiting makes no sense are told, the others wait."""
        surface = self._surface
        if surface.view.release is None or surface.draining:
            while self._waiting:
                self._waiting.popleft().give_up()
        if self._waiting and self._retry is None:
            self._retry = surface.loop.call_later(surface.limits.upstream_retry_s, self._again)

    def _again(self) -> None:
        self._retry = None
        if self._waiting:
            self._connect_more()
