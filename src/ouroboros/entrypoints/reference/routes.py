"""The routes of the API with what each asks of whoever uses it."""

from fastapi import APIRouter
from fastapi.routing import APIRoute

from ouroboros.domain.access import Rule, RunOf
from ouroboros.entrypoints.http.app import ROUTERS
from ouroboros.entrypoints.http.permissions import rule_of
from ouroboros.entrypoints.reference.markdown import code, page, prose, rows

_BOUND: dict[RunOf, str] = {
    "anything": "yes",
    "nothing": "no",
    "body": "its own run",
    "query": "its own run",
    "path": "its own run",
    "slot": "its run's slot",
    "publish": "its run's publishes",
    "publishes": "its run's publishes",
    "signature": "signed instead",
}
"""What a token that is bound to a run reaches, by where its rule looks for the run."""


def render_routes() -> str:
    """The page of the API."""
    groups: dict[str, list[APIRoute]] = {}
    for route in _described(ROUTERS):
        groups.setdefault(str(route.tags[0]), []).append(route)
    return page(
        "API routes",
        "Every route of the API with the scope it needs and whether a token that is bound to a run "
        "may use it. How to call it, and what holds for all routes: [the API](../api.md). Bodies "
        "and answers are described by the running instance: `GET /openapi.json` (OpenAPI 3.1), and "
        "for people `GET /docs`.",
        [_section(tag, routes) for tag, routes in groups.items()],
    )


def _described(routers: tuple[APIRouter, ...]) -> list[APIRoute]:
    return [
        route
        for router in routers
        if router.include_in_schema
        for route in router.routes
        if isinstance(route, APIRoute) and route.include_in_schema
    ]


def _section(tag: str, routes: list[APIRoute]) -> str:
    head = ("route", "scope", "bound token", "what it does")
    return f"## {tag.capitalize()}\n\n" + rows(head, [_row(route) for route in routes])


def _row(route: APIRoute) -> tuple[str, ...]:
    method = min(route.methods or {"GET"})
    rule: Rule = rule_of(method, route.path)
    told = prose(" ".join(route.description.split()))
    return code(f"{method} {route.path}"), rule.scope.word, _BOUND[rule.run], told
