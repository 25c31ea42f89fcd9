"""Requests of the API as numbers: how many of each route and status, and how soon answered.

By the route as it was declared and never by the path that was asked for, so that no visitor can
make a series of his own.
"""

import time

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = ("GET", "HEAD", "POST", "OPTIONS")
NO_ROUTE = "none"
"""The route of a request that reached none: refused before, or for nothing that is there."""


class Traffic:
    """Counts what is answered, whoever answers it."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self._app = app
        self._requests = Counter(
            "ouroboros_http_requests",
            "Requests that the API answered.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._times = Histogram(
            "ouroboros_http_request_seconds",
            "Until the head of an answer was sent; a route that waits for a slot waits in here.",
            ("route",),
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0),
            registry=registry,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and note how it was answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})  # shared with every copy of the scope further in
        began = time.perf_counter()

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = state.get("route", NO_ROUTE)
                method = scope["method"] if scope["method"] in _METHODS else "other"
                self._requests.labels(method, route, str(message["status"])).inc()
                self._times.labels(route).observe(time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, watch)
