"""How long each phase of a connection may take.

Apart from the connection: one look over all of them about once a second is cheaper than a timer
for each request, and the rules stand together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ouroboros.entrypoints.surface import client as phases
from ouroboros.entrypoints.surface import upstream as upstream_phases
from ouroboros.entrypoints.surface.limits import Limits
from ouroboros.entrypoints.surface.refusal import Refusal

if TYPE_CHECKING:
    from ouroboros.entrypoints.surface.client import Client
    from ouroboros.entrypoints.surface.exchange import Exchange
    from ouroboros.entrypoints.surface.upstream import Upstream


class Deadlines:
    """The time rules of a surface, applied to one client at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def check(self, client: Client, now: float) -> None:
        """End what takes too long; `now` is the loop's time in seconds."""
        limits = self._limits
        waited = now - client.since
        if client.is_stalled:
            if waited > limits.stalled_s:
                client.transport.abort()
        elif client.phase == phases.IDLE:
            self._check_idle(client, waited)
        elif client.phase == phases.SKIPPING:
            self._check_rate(client, client.taken, waited)
        elif client.phase == phases.LINGERING:
            if waited > limits.linger_s:
                client.transport.abort()
        elif client.exchange is not None:
            self._check_exchange(client.exchange, waited, now)

    def _check_idle(self, client: Client, waited: float) -> None:
        if client.ahead:
            if waited > self._limits.head_s:
                detail = "The request head took too long."
                client.time_out(Refusal(408, "head_too_slow", detail))
        elif waited > self._limits.idle_s:
            client.transport.close()

    def _check_rate(self, client: Client, moved: int, waited: float) -> None:
        spent = waited - self._limits.body_grace_s
        if spent > 0 and moved < spent * self._limits.body_bytes_per_s:
            client.time_out(Refusal(408, "body_too_slow", "The request body is too slow."))

    def _check_exchange(self, exchange: Exchange, waited: float, now: float) -> None:
        limits, upstream = self._limits, exchange.upstream
        if upstream is None:
            # A publish is at work: it ends the old backend and brings the new one, or fails.
            switching = exchange.client.surface.view.state.state == "building"
            if waited > (limits.upstream_switch_s if switching else limits.upstream_wait_s):
                exchange.give_up()
        elif exchange.client.ended_at and self._is_left(exchange.client, upstream, now):
            exchange.client.transport.abort()
        elif not exchange.is_complete() and not upstream.is_stalled:
            self._check_rate(exchange.client, exchange.moved, waited)
        elif upstream.phase == upstream_phases.HEAD:
            if now - upstream.since > limits.upstream_head_s:
                detail = "The backend has not answered in time."
                exchange.fail(Refusal(504, "backend_too_slow", detail))
        elif now - upstream.since > limits.upstream_silent_s:
            exchange.client.transport.abort()

    def _is_left(self, client: Client, upstream: Upstream, now: float) -> bool:
        """Whether a client that ended its side would wait for nothing: it has probably gone."""
        return now - max(client.ended_at, upstream.since) > self._limits.half_closed_s
