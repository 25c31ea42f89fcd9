"""The gate before every route: who asks, whether a stranger's page makes a browser ask, how often.

Who may reach the installation's unix socket is trusted with everything; over TCP so is a program
of the same OS user on this machine (ADR 0040). A browser of that user also runs the pages of
branches, so without a session it may only look.
"""

import os
from collections import Counter

from anyio.to_thread import run_sync
from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from ouroboros.adapters.control.tokens import TokenStore
from ouroboros.adapters.peer import owner_of_peer
from ouroboros.domain import access
from ouroboros.domain.access import NOBODY, Kind, Principal
from ouroboros.domain.errors import PreviewError, SignInRequired, TooMany
from ouroboros.entrypoints.http.browsers import (
    cookie_name,
    is_browser,
    is_socket,
    refuse_foreign_pages,
    require_form_token,
)
from ouroboros.entrypoints.http.problems import answer_error
from ouroboros.entrypoints.http.rates import Rates

SIGNED = "/api/webhooks/"
"""Routes that know whoever asks by a signature over the body, and by nothing else."""
_MOST_OPEN = 16
"""Requests that one run may have in progress at once."""
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "via")


class Gate:
    """Knows who asks before anything else is done; refuses what no route should see."""

    def __init__(self, app: ASGIApp, tokens: TokenStore, *, local: bool) -> None:
        """`local`: whether programs of this OS user are trusted over loopback TCP."""
        self._app = app
        self._tokens = tokens
        self._local = local
        self._failures = Rates(per_s=0.2, burst=20)
        self._requests = Rates(per_s=50, burst=200)
        self._open: Counter[str | None] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with `request.state.principal`, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        request.state.principal = NOBODY
        try:
            refuse_foreign_pages(request)
            if not request.url.path.startswith(SIGNED):
                request.state.principal = await self._identify(request)
            principal = request.state.principal
            self._refuse_floods(request, principal)
        except PreviewError as error:
            await answer_error(request, error)(scope, receive, send)
            return
        self._open[principal.run_id] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open[principal.run_id] -= 1
            self._open += Counter()  # forgets who has none

    async def _identify(self, request: Request) -> Principal:
        bearer = request.headers.get("authorization", "")
        if bearer:
            return await self._known(request, bearer.removeprefix("Bearer ").strip(), Kind.TOKEN)
        if is_socket(request):
            return Principal(Kind.LOCAL, "local user", access.Scope.OPERATE)
        session = request.cookies.get(cookie_name(request), "")
        if session:
            found = await run_sync(self._tokens.find, session, Kind.SESSION)
            if found is not None:
                require_form_token(request, session)
                return found
        if self._local and await run_sync(_is_own_user, request):
            if is_browser(request):
                return Principal(Kind.BROWSER, "this browser", access.Scope.READ)
            return Principal(Kind.LOCAL, "local user", access.Scope.OPERATE)
        return NOBODY

    async def _known(self, request: Request, text: str, kind: Kind) -> Principal:
        found = await run_sync(self._tokens.find, text, kind)
        if found is not None:
            return found
        if not self._failures.take(_peer(request)):
            raise TooMany("too_many_requests", "too many unknown tokens", "wait a few seconds")
        raise SignInRequired("token_unknown", "this token is unknown, ended or expired")

    def _refuse_floods(self, request: Request, principal: Principal) -> None:
        if principal.kind is Kind.LOCAL:
            return
        who = principal.secret_id or _peer(request)
        if not self._requests.take(who):
            raise TooMany("too_many_requests", f"more than 50 requests a second from {who}")
        if principal.run_id is not None and self._open[principal.run_id] >= _MOST_OPEN:
            # Each may wait a minute for its turn, in a thread that others need.
            raise TooMany(
                "too_many_requests",
                f"{_MOST_OPEN} requests of run {principal.run_id} wait already",
                "wait for their answers",
            )


def _is_own_user(request: Request) -> bool:
    """Whether a program of this OS user, or of root, sent it from this machine by itself."""
    if any(name in request.headers for name in _FORWARDED):
        return False
    own, peer = request.scope.get("server"), request.scope.get("client")
    if not own or not peer or own[1] is None:
        return False
    return owner_of_peer((own[0], own[1]), (peer[0], peer[1])) in (os.getuid(), 0)


def _peer(request: Request) -> str:
    """The address that a request comes from: the router in front says it last (RFC 7239, 5.2)."""
    forwarded = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    return forwarded[:45] or (request.client.host if request.client else "socket")
