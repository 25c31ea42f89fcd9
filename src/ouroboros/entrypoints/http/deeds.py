"""Every action leaves a line in the audit log: who, what, to which slot, before and after.

Looking is no action, and a heartbeat is none either: it comes every minute from every worker.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import structlog
from anyio.to_thread import run_sync
from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ouroboros.adapters.control.audit import Deed
from ouroboros.bootstrap import Installation
from ouroboros.domain.access import Principal
from ouroboros.domain.errors import PreviewError
from ouroboros.domain.identifiers import parse_run_id
from ouroboros.entrypoints.http.bodies import document_of, form_of, read_body, replay
from ouroboros.entrypoints.http.browsers import SAFE
from ouroboros.entrypoints.http.problems import answer_error

_NOT_RECORDED = ("/heartbeat", "/sign-in", "/database/diff", "/database/verify", "/screenshot")
_SECRETS = {"secret", "token", "password", "form_token"}
_SHOWN = (
    "state", "run_id", "fence", "publish_id", "commit_sha", "expires_at", "seed_version",
    "snapshot_version", "database_fingerprint",
)  # fmt: skip
_LONGEST = 500
_NO_DEED = (404, 405, 415)
"""Statuses of requests that reached nothing."""
_log = structlog.get_logger()


class Deeds:
    """Records actions when they have been answered."""

    def __init__(self, app: ASGIApp, at: Installation) -> None:
        self._app = app
        self._at = at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; what it did is recorded before its answer is complete."""
        if scope["type"] != "http" or not _is_recorded(scope):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        who: Principal = request.state.principal
        if not who.scope:
            # Whoever is not known can do nothing, and must not fill the log with trying.
            await self._app(scope, receive, send)
            return
        try:
            body = await read_body(request)
        except PreviewError as error:
            await answer_error(request, error)(scope, receive, send)
            return
        deed = Deed(_named(who), f"{scope['method']} {scope['path']}")
        deed.request = _asked(request, body)
        await run_sync(self._name_target, deed, scope["path"])
        held: list[Message] = []

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                deed.status = message["status"]
            if message["type"] == "http.response.body" and not message.get("more_body"):
                deed.error = _error_in(message.get("body", b"")) if deed.status >= 400 else None
                held.append(message)
                return
            await send(message)

        await self._app(scope, replay(body, receive), watch)
        if deed.status not in _NO_DEED:
            await run_sync(self._record, deed)
        for message in held:
            await send(message)

    def _name_target(self, deed: Deed, path: str) -> None:
        """Find the slot that the request is about, and its state before."""
        asked, parts = deed.request, path.split("/")
        deed.run_id = _run_in(asked)
        if parts[:3] == ["", "api", "publishes"] and len(parts) > 4:
            deed.publish_id = parts[3]
        elif parts[1] == "actions" and asked.get("publish"):
            deed.publish_id = str(asked["publish"])
        of_path = parts[3] if parts[:3] == ["", "api", "slots"] and len(parts) > 3 else ""
        named = of_path or asked.get("slot")
        known = {name: slot for slot in self._at.settings.pool for name in (slot.id, slot.alias)}
        try:
            if named in known:
                deed.slot_id = known[named].id
            elif deed.publish_id is not None:
                deed.slot_id = self._at.publishes.get(deed.publish_id)["slot_id"]
            deed.before = self._state_of(deed)
        except PreviewError as error:
            _log.warning("audit target not found", error=error.code)

    def _record(self, deed: Deed) -> None:
        try:
            if deed.before is not None or deed.run_id is not None:
                deed.after = self._state_of(deed)
            self._at.audit.append(deed)
        except PreviewError as error:
            _log.error("audit line not written", action=deed.action, error=error.code)

    def _state_of(self, deed: Deed) -> dict[str, Any] | None:
        """The slot's document in short: of the slot that is named, else of the run's."""
        for document in self._at.slots.all():
            named = document["slot_id"] == deed.slot_id
            of_run = deed.run_id is not None and document["run_id"] == deed.run_id
            if named or (deed.slot_id is None and of_run):
                deed.slot_id = document["slot_id"]
                return {key: document[key] for key in _SHOWN}
        return None


def _named(who: Principal) -> str:
    return who.name if who.secret_id is None else f"{who.kind} {who.name} ({who.secret_id})"


def _is_recorded(scope: Scope) -> bool:
    return scope["method"] not in SAFE and not str(scope["path"]).endswith(_NOT_RECORDED)


def _asked(request: Request, body: bytes) -> dict[str, Any]:
    """What was asked for, as the route reads it, short and without secrets."""
    found: Mapping[str, Any] = {}
    if not request.url.path.startswith("/api/"):
        with suppress(PreviewError):
            found = form_of(body)
    else:
        found = document_of(body)
    return {
        str(key)[:80]: "***" if key in _SECRETS else _short(value) for key, value in found.items()
    }


def _run_in(asked: Mapping[str, Any]) -> str | None:
    """The run that is named, if it can be one."""
    with suppress(PreviewError):
        return parse_run_id(str(asked.get("run_id", "")))
    return None


def _short(value: object) -> object:
    return (
        value if isinstance(value, bool | int | float) or value is None else str(value)[:_LONGEST]
    )


def _error_in(body: bytes) -> str | None:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return None
