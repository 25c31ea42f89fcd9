"""The dashboard: pages for people, made on the server and readable without a script.

Every page is one GET that changes nothing. The layout is in `templates/`, the looks in
`static/ouroboros.css`; `rendering` is the one place where a page becomes an answer.
"""

from fastapi import APIRouter

from ouroboros.entrypoints.http.pages import (
    access,
    actions,
    assets,
    by_provider,
    comparison,
    databases,
    difference,
    events,
    hosts,
    publishes,
    reference,
    sign_in,
    slots,
)

MODULES = (
    slots,
    publishes,
    comparison,
    databases,
    difference,
    events,
    hosts,
    access,
    reference,
    assets,
    sign_in,
    by_provider,
    actions,
)
"""What the dashboard is made of."""

router = APIRouter(include_in_schema=False)
for _module in MODULES:
    router.include_router(_module.router)
