"""The page of the API: every route with what it asks for, made from the code."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ouroboros.entrypoints.http.pages.rendering import show
from ouroboros.entrypoints.http.permissions import rule_of

router = APIRouter()


@router.get("/docs")
def reference(request: Request) -> HTMLResponse:
    """The routes, by their tags, in the order of the description."""
    described = request.app.openapi()
    groups: dict[str, list[dict[str, str]]] = {}
    for path, methods in described["paths"].items():
        for method, route in methods.items():
            rule = rule_of(method.upper(), path)
            groups.setdefault((route.get("tags") or ["more"])[0], []).append(
                {
                    "method": method.upper(),
                    "path": path,
                    "told": route.get("description", ""),
                    "scope": rule.scope.word,
                }
            )
    return show(
        request, "reference.html", title="API", live=False, groups=groups, info=described["info"]
    )
