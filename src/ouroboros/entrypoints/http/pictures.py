"""Pictures: those that a publish left, two of them compared, and a look at a page right now.

A picture shows whatever a branch has drawn, so it is answered as a picture and nothing else: its
type is not guessed, and the policy runs nothing that might be in it.
"""

import base64
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from ouroboros.domain.errors import NotFound
from ouroboros.entrypoints.http.asked import Asked
from ouroboros.entrypoints.http.dependencies import At, PathSlot

router = APIRouter(prefix="/api", tags=["pictures"])

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_KEPT = {**_HEADERS, "Cache-Control": "private, max-age=86400"}
_PNG = "image/png"
_AS_PNG: dict[int | str, dict[str, Any]] = {200: {"content": {_PNG: {}}}}


class ScreenshotRequest(Asked):
    """Asks for a look at one page of a preview."""

    path: str = Field("/", pattern=r"^/[!-~]*$", max_length=2000)


@router.get("/publishes/{publish_id}/pictures/{name}", response_class=Response, responses=_AS_PNG)
def picture(at: At, publish_id: str, name: str) -> Response:
    """A picture among the artifacts of a publish; 404 `artifact_not_found`."""
    return answer_picture(at, publish_id, name)


@router.get("/publishes/{publish_id}/compare/{other}")
def compare(at: At, publish_id: str, other: str, page: str | None = None) -> dict[str, Any]:
    """What looks different between two publishes; `page` is one of the answer's `pages`."""
    document, _ = at.comparison.compare(publish_id, other, page)
    return {"ok": True, **document}


@router.get(
    "/publishes/{publish_id}/compare/{other}/picture", response_class=Response, responses=_AS_PNG
)
def compared_picture(
    at: At,
    publish_id: str,
    other: str,
    page: str | None = None,
    side: Literal["before", "after", "both"] = "both",
) -> Response:
    """The two pictures, with the region marked in which they differ."""
    _, compared = at.comparison.compare(publish_id, other, page)
    return Response(compared.picture(side), media_type=_PNG, headers=_KEPT)


@router.post("/slots/{slot}/screenshot")
def screenshot(
    at: At, slot: PathSlot, asked: ScreenshotRequest, response: Response
) -> dict[str, Any]:
    """Look at a page of the preview as it is now; `png_base64` is what a window of it shows.

    Raises `nothing_published`, and `browser_not_installed`, `chromium_not_found` or
    `browser_not_on_hosts` where no browser can be had.
    """
    # Whoever asks again wants to see what it looks like by then.
    response.headers["Cache-Control"] = "no-store"
    publish_id, seen = at.pictures.look(slot, asked.path)
    return {
        "ok": True,
        "slot_id": slot.id,
        "publish_id": publish_id,
        "url": slot.preview_url,
        **seen.document(),
        "png_base64": base64.b64encode(seen.picture).decode("ascii"),
    }


def answer_picture(at: At, publish_id: str, name: str) -> Response:
    """A picture that is recorded among a publish's artifacts; raises `artifact_not_found`."""
    rows = at.publishes.get(publish_id)["artifacts"]
    known = {row["name"] for row in rows if row["media_type"] == _PNG}
    path = at.layout.artifacts(publish_id) / name
    if name not in known or not path.is_file():
        raise NotFound("artifact_not_found", f"{publish_id} has no picture {name[:80]!r}")
    return Response(path.read_bytes(), media_type=_PNG, headers=_KEPT)
