"""Errors become answers here, and nowhere else: problem+json for programs, a page for people.

The members of RFC 9457 (`type`, `title`, `status`, `detail`, `instance`) stand beside our own
(`ok`, `error`, `message`, `hint`), which every command prints too.
"""

from http import HTTPStatus

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ouroboros.domain.errors import BadInput, Failed, NotFound, PreviewError
from ouroboros.entrypoints.http.methods import methods_of
from ouroboros.entrypoints.http.pages.rendering import show

STATUSES = {"json_required": 415, "body_too_large": 413, "method_not_allowed": 405}
"""Codes whose HTTP status is not that of their kind of error."""

_MEDIA_TYPE = "application/problem+json"


def answer_error(request: Request, error: PreviewError, status: int | None = None) -> Response:
    """The answer to a request that failed; `status` where the error's own does not fit."""
    code = status or STATUSES.get(error.code, error.http_status)
    if wants_page(request) and code >= 400:
        return show(
            request,
            "error.html",
            title=HTTPStatus(code).phrase,
            live=False,
            status=code,
            error=error,
            code=code,
        )
    document = {**error.document(), "exit_code": error.exit_code}
    if code < 400:
        return JSONResponse(plain(document), status_code=code)
    problem = {
        **document,
        "type": f"urn:ouroboros:error:{error.code}",
        "title": HTTPStatus(code).phrase,
        "status": code,
        "detail": error.message,
        "instance": request.url.path,
    }
    headers = {"WWW-Authenticate": "Bearer"} if code == 401 else {}
    return JSONResponse(plain(problem), code, headers, _MEDIA_TYPE)


def wants_page(request: Request) -> bool:
    """Whether a person's browser asks for something to read."""
    accepted = request.headers.get("accept", "")
    return "text/html" in accepted and not request.url.path.startswith("/api/")


def plain(value: object) -> object:
    """JSON-ready data: whatever is no JSON becomes its text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def answer_preview_error(request: Request, error: Exception) -> Response:
    """For what the house raises."""
    if not isinstance(error, PreviewError):
        raise error
    return answer_error(request, error)


def answer_validation_error(request: Request, error: Exception) -> Response:
    """For a request that is not of the form its route wants: `invalid_request`."""
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    shown = [
        {"field": ".".join(str(part) for part in p["loc"][1:]), "problem": p["msg"]}
        for p in problems
    ]
    listed = "; ".join(f"{item['field']}: {item['problem']}" for item in shown)
    return answer_error(
        request, BadInput("invalid_request", listed, "GET /openapi.json", {"problems": shown})
    )


def answer_http_error(request: Request, error: Exception) -> Response:
    """For what the framework refuses: no such route, no such method."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404:
        return answer_error(
            request, NotFound("route_not_found", f"there is no {request.url.path}", "/docs")
        )
    if status == 405:
        refused = BadInput("method_not_allowed", f"{request.method} is not for {request.url.path}")
        answer = answer_error(request, refused)
    else:
        failed = BadInput if status < 500 else Failed
        answer = answer_error(
            request, failed("http_error", str(getattr(error, "detail", error))), status
        )
    answer.headers.update(getattr(error, "headers", None) or {})
    if status == 405:
        # The router's own names the methods of one route, and two may share a path.
        answer.headers["Allow"] = ", ".join(methods_of(request))
    return answer


def answer_bug(request: Request, error: Exception) -> Response:
    """A failure that nobody foresaw: told as one, with its kind; the log has the rest."""
    return answer_error(
        request, Failed("internal_error", type(error).__name__, "see the API's log")
    )
