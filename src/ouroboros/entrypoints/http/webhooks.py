"""Webhooks: what git hosts tell of pull requests, known by a signature over the raw body."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from ouroboros.domain.git_host import GitHost
from ouroboros.entrypoints.http.dependencies import At

router = APIRouter(prefix="/api/webhooks", tags=["pull requests"])


async def raw_body(request: Request) -> bytes:
    """The body as it came; a signature is over its bytes."""
    return await request.body()


_PAYLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/WebhookPayload"}}
        },
    }
}
_IGNORED: dict[int | str, dict[str, Any]] = {
    204: {"description": "An event that is not used; nothing was changed."}
}


@router.post("/{git_host}", status_code=202, responses=_IGNORED, openapi_extra=_PAYLOAD)
def receive(
    at: At, git_host: GitHost, request: Request, body: Annotated[bytes, Depends(raw_body)]
) -> Any:
    """Take in a webhook of a pull request; 401 `signature_invalid`, 409 `delivery_replayed`.

    The worker does what follows: `publish`, `release`, `waits_for_approval`, or nothing when
    something newer is known (`outdated`).
    """
    done = at.receiver.receive(git_host, request.headers, body)
    return Response(status_code=204) if done is None else {"ok": True, **done}
