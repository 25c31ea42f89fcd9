"""Put the application together. `app.main:app` is what a server imports and runs."""

from __future__ import annotations

import os
import sys

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app import catalogue, lending, reservations, slot
from app.database import open_engine
from app.environment import BadEnvironment, Environment, read_environment
from app.refusals import Refusal, refuse, refuse_for_now

ROUTERS = (slot.router, catalogue.router, lending.router, reservations.router)


def make_app(environment: Environment) -> FastAPI:
    """Build the application for one slot. Nothing connects before the first request."""
    app = FastAPI(title="Toolshed", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.state.environment = environment
    app.state.engine = open_engine(environment)
    app.state.pulse = slot.Pulse()
    app.add_middleware(
        CORSMiddleware,
        allow_origins=environment.allowed_origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Content-Type"],
    )
    app.add_exception_handler(Refusal, refuse)
    for away in (OperationalError, InterfaceError, PoolTimeout):
        app.add_exception_handler(away, refuse_for_now)
    for router in ROUTERS:
        app.include_router(router)
    return app


try:
    app = make_app(read_environment(os.environ))
except BadEnvironment as problem:
    sys.exit(f"toolshed: {problem}")
