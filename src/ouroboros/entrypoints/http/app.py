"""The application: its routes, and the one place where errors become HTTP answers."""

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from ouroboros import __version__
from ouroboros.adapters.control.leases import SLOTS_CHANNEL
from ouroboros.adapters.control.listener import ChangeListener
from ouroboros.adapters.control.output import OUTPUT_CHANNEL
from ouroboros.adapters.control.publishes import PUBLISHES_CHANNEL
from ouroboros.bootstrap import Installation
from ouroboros.domain.errors import BadInput, Failed, NotFound, PreviewError, Refused
from ouroboros.entrypoints.http import (
    backends,
    databases,
    doctor,
    health,
    host,
    output,
    publishes,
    slots,
    states,
)


def make_app(installation: Installation) -> FastAPI:
    """The application over an installation's services."""
    app = FastAPI(
        title="Ouroboros",
        version=__version__,
        summary="Full-stack previews on fixed slots: leases, resets, publishes.",
    )
    app.state.installation = installation
    dsn = installation.access.control_dsn()
    app.state.slot_changes = ChangeListener(dsn, SLOTS_CHANNEL)
    app.state.closing = asyncio.Event()
    app.state.publish_changes = ChangeListener(dsn, OUTPUT_CHANNEL, PUBLISHES_CHANNEL)
    for module in (health, slots, publishes, output, backends, databases, states, host, doctor):
        app.include_router(module.router)
    app.add_exception_handler(PreviewError, _answer_preview_error)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(Exception, _answer_bug)
    allowed = ["localhost", "127.0.0.1", "[::1]", installation.settings.pool.slots[0].domain]
    app.middleware("http")(_refuse_foreign_pages)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=allowed)
    return app


async def _refuse_foreign_pages(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Refuse what a page of somebody else's, such as a branch's, makes a browser send.

    A browser tells who asks (Fetch metadata, Origin), and sends no JSON across origins without
    asking first.
    """
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        site = request.headers.get("sec-fetch-site", "same-origin")
        origin = request.headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
        if site not in ("same-origin", "none") or foreign:
            return _answer(Refused("foreign_origin", "another site's page may not do this"))
        if not request.headers.get("content-type", "").startswith("application/json"):
            answer = _answer(BadInput("json_required", "send Content-Type: application/json"))
            answer.status_code = 415
            return answer
    return await call_next(request)


def _answer(error: PreviewError) -> JSONResponse:
    document = {**error.document(), "exit_code": error.exit_code}
    return JSONResponse(_plain(document), status_code=error.http_status)


def _plain(value: object) -> object:
    """JSON-ready data: whatever is no JSON becomes its text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _answer_preview_error(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, PreviewError):
        raise error
    return _answer(error)


def _answer_validation_error(_: Request, error: Exception) -> JSONResponse:
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    shown = [
        {"field": ".".join(str(part) for part in p["loc"][1:]), "problem": p["msg"]}
        for p in problems
    ]
    listed = "; ".join(f"{item['field']}: {item['problem']}" for item in shown)
    return _answer(BadInput("invalid_request", listed, "GET /openapi.json", {"problems": shown}))


def _answer_http_error(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404:
        return _answer(NotFound("route_not_found", f"there is no {request.url.path}"))
    failed = BadInput if status < 500 else Failed
    answer = _answer(failed("http_error", str(getattr(error, "detail", error))))
    answer.status_code = status
    return answer


def _answer_bug(_: Request, error: Exception) -> JSONResponse:
    """A failure that nobody foresaw: told as one, with its kind; the log has the rest."""
    return _answer(Failed("internal_error", type(error).__name__, "see the API's log"))
