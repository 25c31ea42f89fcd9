"""Static files of the dashboard, kept by browsers for ever: their address holds their content."""

import mimetypes

from fastapi import APIRouter
from fastapi.responses import FileResponse

from ouroboros.domain.errors import NotFound
from ouroboros.entrypoints.http.pages.rendering import STATIC, present

router = APIRouter()

_FILES = {path.relative_to(STATIC).as_posix(): path for path in STATIC.rglob("*") if path.is_file()}
"""Every file there is, by its name: a name that is not here is not looked for."""


@router.get("/static/{digest}/{name:path}")
def static_file(digest: str, name: str) -> FileResponse:
    """One file; 404 `route_not_found`."""
    path = _FILES.get(name)
    if path is None:
        raise NotFound("route_not_found", f"there is no static file {name[:80]!r}")
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    kept = "public, max-age=31536000, immutable" if digest == present() else "no-cache"
    headers = {"Cache-Control": kept, "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type=media_type, headers=headers)


@router.get("/favicon.ico")
def favicon() -> FileResponse:
    """The mark, for browsers that ask by this name."""
    return FileResponse(_FILES["mark.svg"], media_type="image/svg+xml")
