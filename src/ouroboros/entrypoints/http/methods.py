"""Which methods a path takes, as the router finds: before it is asked, and after it refused."""

from fastapi import Request
from starlette.routing import Match

_METHODS = ("GET", "POST")


def takes(request: Request, method: str) -> bool:
    """Whether some route has this method at the request's path."""
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)


def methods_of(request: Request) -> list[str]:
    """The methods that routes have at the request's path; empty when there is no such path."""
    return [method for method in _METHODS if takes(request, method)]
