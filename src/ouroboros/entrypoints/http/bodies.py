"""The body of a request, read by what stands before the routes and told to them again."""

import json
from typing import Any
from urllib.parse import parse_qs

from fastapi import Request
from starlette.types import Message, Receive

from ouroboros.domain.errors import BadInput

LIMIT_BYTES = 1 << 20


async def read_body(request: Request) -> bytes:
    """The whole body; raises `body_too_large` as soon as it is, without reading on."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LIMIT_BYTES:
            raise BadInput("body_too_large", "a request's body has at most 1 MiB")
    return bytes(body)


def document_of(body: bytes) -> dict[str, Any]:
    """The members of a JSON object; none of anything else, however odd or deep it is."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def form_of(body: bytes) -> dict[str, str]:
    """The fields of a form, the first of each name; raises `invalid_request` when it is none."""
    try:
        found = parse_qs(body.decode("ascii"), max_num_fields=50)
    except ValueError as error:
        raise BadInput("invalid_request", "this is not a form") from error
    return {name: values[0] for name, values in found.items()}


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that tells the body again, then what really comes."""
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
