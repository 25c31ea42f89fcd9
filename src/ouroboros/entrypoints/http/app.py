"""The application: its routes, and what every request passes before one of them."""

import asyncio
from functools import partial

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from ouroboros import __version__
from ouroboros.adapters.control.leases import SLOTS_CHANNEL
from ouroboros.adapters.control.listener import ChangeListener
from ouroboros.adapters.control.notices import Notices
from ouroboros.adapters.control.output import OUTPUT_CHANNEL
from ouroboros.adapters.control.publishes import PUBLISHES_CHANNEL, STEPS_CHANNEL
from ouroboros.bootstrap import Installation
from ouroboros.domain.errors import PreviewError
from ouroboros.entrypoints.http import (
    backends,
    databases,
    doctor,
    events,
    health,
    host,
    metrics,
    output,
    pages,
    pictures,
    problems,
    publishes,
    pull_requests,
    releases,
    runs,
    slots,
    states,
    tokens,
    webhooks,
)
from ouroboros.entrypoints.http.deeds import Deeds
from ouroboros.entrypoints.http.description import describe
from ouroboros.entrypoints.http.gate import Gate
from ouroboros.entrypoints.http.news import CHANNELS, News
from ouroboros.entrypoints.http.permissions import authorize
from ouroboros.entrypoints.http.preview_gate import PreviewGate
from ouroboros.entrypoints.http.repeats import Repeats
from ouroboros.entrypoints.http.traffic import Traffic

_MODULES = (
    health,
    slots,
    runs,
    publishes,
    output,
    pictures,
    releases,
    events,
    backends,
    databases,
    states,
    host,
    metrics,
    doctor,
    tokens,
    pull_requests,
    webhooks,
    pages,
)
ROUTERS = tuple(module.router for module in _MODULES)
"""All routes, in the order of the description."""


def make_app(installation: Installation) -> FastAPI:
    """The application over an installation's services.

    A request passes, in this order: the counting of requests, the host's name, the gate (who
    asks), the audit log, the answers that are known already, and the rule of its route.
    """
    app = FastAPI(
        title="Ouroboros",
        version=__version__,
        summary="Full-stack previews on fixed slots: leases, resets, publishes.",
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(authorize)],
    )
    app.openapi = partial(describe, app)  # type: ignore[method-assign]
    app.state.installation = installation
    dsn = installation.access.control_dsn()
    app.state.news = News(Notices(dsn, CHANNELS), installation.events)
    app.state.slot_changes = ChangeListener(dsn, SLOTS_CHANNEL)
    of_publishes = (OUTPUT_CHANNEL, STEPS_CHANNEL, PUBLISHES_CHANNEL)
    app.state.publish_changes = ChangeListener(dsn, *of_publishes)
    app.state.closing = asyncio.Event()
    app.state.metrics = metrics.make_registry(installation)
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(PreviewError, problems.answer_preview_error)
    app.add_exception_handler(RequestValidationError, problems.answer_validation_error)
    app.add_exception_handler(HTTPException, problems.answer_http_error)
    app.add_exception_handler(Exception, problems.answer_bug)
    app.add_middleware(Repeats, answers=installation.answers)
    app.add_middleware(Deeds, at=installation)
    settings = installation.settings
    app.add_middleware(Gate, tokens=installation.tokens.store, local=settings.local)
    domain = settings.pool.slots[0].domain
    allowed = ["localhost", "127.0.0.1", "[::1]", "ouroboros.localhost", f"ouroboros.{domain}"]
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*allowed, domain])
    app.add_middleware(Traffic, registry=app.state.metrics)
    if settings.protected:
        app.add_middleware(PreviewGate, settings=settings)
    return app
