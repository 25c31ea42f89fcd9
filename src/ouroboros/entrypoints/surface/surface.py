"""A surface: the shared state of all its connections, and where each request goes.

Apart from the process around it (`process.py`), so that tests build one with their own limits.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable

from ouroboros.entrypoints.surface.accesslog import AccessLog
from ouroboros.entrypoints.surface.answer import REASONS, Answer
from ouroboros.entrypoints.surface.client import ENDED, IDLE, TUNNEL, Client
from ouroboros.entrypoints.surface.deadlines import Deadlines
from ouroboros.entrypoints.surface.exchange import Exchange
from ouroboros.entrypoints.surface.forward import Gateway
from ouroboros.entrypoints.surface.head import Grammar
from ouroboros.entrypoints.surface.limits import Limits
from ouroboros.entrypoints.surface.memo import Memo
from ouroboros.entrypoints.surface.options import Options
from ouroboros.entrypoints.surface.pages import error_answer, state_answer
from ouroboros.entrypoints.surface.pool import Pool, Target
from ouroboros.entrypoints.surface.ready import Ready
from ouroboros.entrypoints.surface.refusal import Refusal
from ouroboros.entrypoints.surface.request import Line, Request
from ouroboros.entrypoints.surface.response import ResponseGrammar
from ouroboros.entrypoints.surface.static import answer_static
from ouroboros.entrypoints.surface.text import http_date
from ouroboros.entrypoints.surface.view import Source, View
from ouroboros.entrypoints.surface.watch import Watch

TICK_S = 0.5
CHECKED_AT_ONCE = 64
BADGE_PREFIX = b"/__preview/"


class Stamps(dict[int, bytes]):
    """Status line and Date for each status, made once a second."""

    def __missing__(self, status: int) -> bytes:
        reason = REASONS.get(status, "")
        stamp = f"HTTP/1.1 {status} {reason}\r\nDate: {http_date(time.gmtime())}\r\n".encode()
        self[status] = stamp
        return stamp


class Visits:
    """When somebody was last answered, but for those who asked for `/health`.

    Looked at now and then, so that it costs an answer nothing.
    """

    def __init__(self, now: float) -> None:
        self.asked_for_health = 0
        self.last_at = now
        self._answered = 0

    def look(self, answers: int, now: float) -> None:
        """Compare with how many were answered at the last look."""
        answered = answers - self.asked_for_health
        if answered != self._answered:
            self._answered, self.last_at = answered, now


class Surface:
    """Everything that the connections of one surface share. Not thread-safe; one event loop."""

    changed: Callable[[int], object]

    def __init__(self, options: Options, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self.options = options
        self.limits = limits
        self.loop = loop
        self.now = loop.time()
        self.draining = False
        self.clients: set[Client] = set()
        self.count: dict[int, int] = defaultdict(int)
        self.proxied = 0
        self._visits = Visits(loop.time())
        self.log = AccessLog(options.access_log) if options.access_log else None
        self.switches = 0
        self.stamps = Stamps()
        self.memo = Memo[Ready | Request](limits.memo_entries)
        # How often what is prepared was forgotten; connections keep frames of their own (frame.py).
        self.age = 0
        # What simple requests get by their line and accepted codings, whatever else they say.
        self.quick: dict[tuple[Line, bytes | None], Ready] = {}
        self.grammar = Grammar(limits, options.hosts)
        self.responses = ResponseGrammar()
        self.gateway = Gateway(options.slot_id)
        self.deadlines = Deadlines(limits)
        self.pool = Pool(self, Target(options.api_target))
        self._source = Source(options.root, options.slot_id)
        self._watch = Watch(self._source.signature)
        self._load()

    # -- the view ------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Something was renamed: take the new view if it is one. Never fails."""
        if self._watch.settle() or not self._source.is_managed:
            self._load()
        self.pool.hold(self._source.held_until())

    def _load(self) -> None:
        # The watch begins before the view is read, so that a switch in between is seen again.
        self._watch.follow(self._source.directories)
        self.changed = self._watch.changed
        self.view = self._source.resolve()
        self._forget()
        self.switches += 1
        info = self.view.info
        prefixes = info.proxy_prefixes if info.has_backend else ()
        if info.has_backend and not info.has_frontend:
            prefixes = (b"",)
        self._exact = frozenset(prefixes)
        self._below = tuple(prefix + b"/" for prefix in prefixes)

    def _forget(self) -> None:
        """Nothing that was prepared holds any more."""
        self.memo.clear()
        self.quick.clear()
        self.age += 1

    def remember(self, head: bytes, ready: Ready | Request) -> None:
        """Keep what is known of a request for others of the very same bytes, until a switch."""
        limits = self.limits
        size = ready[3] if isinstance(ready, tuple) else 0
        if len(head) <= limits.memo_head_bytes and size <= limits.memo_body_bytes:
            self.memo.offer(head, ready)

    def remember_line(self, request: Request, ready: Ready) -> None:
        """Keep what simple requests with this line and these codings get, until a switch."""
        if self.draining or not request.line.repeats:
            return
        if ready[3] <= self.limits.memo_body_bytes:
            if len(self.quick) >= self.limits.memo_entries:
                self.quick.clear()
            self.quick[request.line, request.fields.codings] = ready

    # -- requests ------------------------------------------------------------------------------

    def answer(self, view: View, request: Request) -> Answer | None:
        """Our own answer to a request, or None when the backend is to answer it.

        Raises `Refusal`: 404, 405, 409 (another commit is expected), 502 (a loop).
        """
        path = request.path
        if path == b"/health":
            return self._health(view)
        expected = request.fields.expect_commit
        if expected and not view.commit.startswith(expected.decode()):
            detail = f"Commit {view.commit or 'none'} is served, another one is expected."
            raise Refusal(409, "other_commit", detail, fatal=False)
        if (path in self._exact or path.startswith(self._below)) and not path.startswith(
            BADGE_PREFIX
        ):
            if self.gateway.is_loop(request.fields):
                raise Refusal(502, "proxy_loop", "The API target leads back to this surface.")
            return None
        if view.release is None:
            return state_answer(view, request)
        return answer_static(view, view.release, request)

    def error(self, refusal: Refusal, request: Request | None) -> Answer:
        """The answer that tells of a refusal."""
        return error_answer(refusal.status, refusal.code, refusal.detail, request, self.view)

    def note(self, exchange: Exchange, size: int) -> None:
        """Count and log an answer of the backend."""
        self.count[exchange.status] += 1
        self.proxied += 1
        if self.log is not None:
            client = exchange.client
            seconds = self.loop.time() - exchange.began
            self.log.add(
                client.peer, exchange.request, exchange.status, size, exchange.request_id, seconds
            )

    def away(self, view: View) -> Refusal:
        """What to say when no connection to the backend can be had."""
        if view.release is None or not view.is_published:
            detail = f"No backend answers; the slot is {view.state.state}."
            return Refusal(503, "backend_away", detail, fatal=False)
        if self.pool.last_error == "timed out":
            detail = "The backend does not accept connections in time."
            return Refusal(504, "backend_timeout", detail, fatal=False)
        detail = "The backend is not running. It may be starting again."
        return Refusal(502, "backend_away", detail, fatal=False)

    def _health(self, view: View) -> Answer:
        self._visits.asked_for_health += 1
        info, options = view.info, self.options
        state = "live" if view.release is not None and view.is_published else view.state.state
        document = {
            "status": "ok",
            "slot_id": options.slot_id,
            "run_id": info.run_id or view.state.run_id or None,
            "commit_sha": info.commit_sha or None,
            "publish_id": info.publish_id or None,
            "database_fingerprint": view.state.database_fingerprint or None,
            "release": view.release.name if view.release and view.is_published else None,
            "state": state,
            "root": options.root,
            "pid": os.getpid(),
            "api_target": options.api_target,
            "backend_held": self.pool.is_held,
            "backend_in_flight": self.pool.in_flight,
            "quiet_s": round(self.loop.time() - self._visits.last_at, 1),
        }
        body = json.dumps(document).encode() + b"\n"
        lines = (
            b"Content-Type: application/json\r\nCache-Control: no-store\r\n"
            b"X-Content-Type-Options: nosniff\r\nContent-Length: %d\r\n" % len(body)
        )
        return Answer(200, lines, body)  # never remembered: it tells of this moment

    # -- time ----------------------------------------------------------------------------------

    def tick(self) -> None:
        """Look at every clock; called twice a second by the process."""
        self.now = self.loop.time()
        self.stamps.clear()
        self.refresh()
        self.pool.tick()
        self._visits.look(sum(self.count.values()), self.now)
        if self.log is not None:
            self.log.flush()
        self._check_some(list(self.clients), 0)

    def _check_some(self, clients: list[Client], start: int) -> None:
        """Look at a slice of the clients, and let requests be answered before the next one."""
        stop = start + CHECKED_AT_ONCE
        for client in clients[start:stop]:
            if client.phase != ENDED:
                self.deadlines.check(client, self.now)
        if stop < len(clients):
            self.loop.call_soon(self._check_some, clients, stop)

    def begin_drain(self) -> None:
        """No new connection is taken; answers now say that the connection closes."""
        self.draining = True
        self._forget()

    def is_drained(self, *, patient: bool) -> bool:
        """Whether nothing is in progress; idle connections count while `patient`.

        A tunnel has no end to wait for.
        """
        return not self.clients or (
            not patient and all(client.phase in (IDLE, TUNNEL) for client in self.clients)
        )

    def close(self) -> None:
        """End every connection and stop watching."""
        for client in list(self.clients):
            client.transport.abort()
        self.pool.close()
        self._watch.close()
        if self.log is not None:
            self.log.flush()
