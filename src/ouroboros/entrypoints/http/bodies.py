"""The body of a request, read by what stands before the routes and told to them again."""

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
