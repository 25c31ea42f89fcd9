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


class Deadlines:
    """The time rules of a surface, applied to one client at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def check(self, client: Client, now: float) -> None:
        """End what takes too long; `now` is the loop's time in seconds."""
        limits = self._limits
        waited = now - client.since
        if client.is_stalled():
            if waited > limits.stalled_s:
                client.transport.abort()
            return
        if client.ended_at and now - client.ended_at > limits.half_closed_s:
            client.transport.abort()
            return
        match client.phase:
            case phases.IDLE:
                self._check_idle(client, waited)
            case phases.WAITING if waited > limits.upstream_wait_s:
                client.give_up_waiting()
            case phases.PROXIED | phases.SKIPPING:
                self._check_exchange(client, now)
            case phases.LINGERING if waited > limits.linger_s:
                client.transport.abort()

    def _check_idle(self, client: Client, waited: float) -> None:
        if client.is_within_head():
            if waited > self._limits.head_s:
                detail = "The request head took too long."
                client.time_out(Refusal(408, "head_too_slow", detail))
        elif waited > self._limits.idle_s:
            client.transport.close()

    def _check_exchange(self, client: Client, now: float) -> None:
        limits = self._limits
        if not client.request_is_complete() and not client.is_paused_by_backend():
            spent = now - client.since - limits.body_grace_s
            if spent > 0 and client.moved_bytes() < spent * limits.body_bytes_per_s:
                client.time_out(Refusal(408, "body_too_slow", "The request body is too slow."))
            return
        upstream = client.upstream
        if upstream is None:
            return
        silent = now - upstream.since
        if upstream.phase == upstream_phases.HEAD:
            if silent > limits.upstream_head_s:
                detail = "The backend has not answered in time."
                client.answer_failed(Refusal(504, "backend_too_slow", detail))
        elif silent > limits.upstream_silent_s:
            client.transport.abort()
