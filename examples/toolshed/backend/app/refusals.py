"""Say no in one shape: a status, a code for programs and a sentence for people."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import JSONResponse


class Refusal(Exception):
    """A request the desk understands and does not carry out."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def refuse(_request: Request, refusal: Exception) -> JSONResponse:
    """Answer a Refusal as JSON."""
    if not isinstance(refusal, Refusal):
        raise refusal
    body = {"error": refusal.code, "message": refusal.message}
    return JSONResponse(body, status_code=refusal.status)


def refuse_for_now(_request: Request, _problem: Exception) -> JSONResponse:
    """Answer that the database is away, for example while a reset swaps it: try again at once."""
    body = {"error": "database_unavailable", "message": "The database does not answer right now."}
    return JSONResponse(body, status_code=503, headers={"Retry-After": "1"})
