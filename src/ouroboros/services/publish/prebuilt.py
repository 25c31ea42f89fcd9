"""Prebuilt files: a front end or a backend that was built elsewhere takes the place of building.

The directory holds `web/` (what the build's output would be) or `backend/` (what the backend's
directory would be after its install), or both. It is copied by the rules of a build's output into
the release before anything else happens, so that what changes there later changes nothing here.
"""

import hashlib
import json
from pathlib import Path

from ouroboros.adapters.release_files import copy_built_files, digest_files, remove_tree
from ouroboros.domain.errors import BadInput
from ouroboros.services.publish.work import Work

WEB, BACKEND = "web", "backend"


def take_prebuilt(work: Work) -> dict[str, str]:
    """Copy the parts that are there; returns a digest of each. May be repeated.

    Raises `prebuilt_not_found`, `prebuilt_not_expected` and the codes of copying.
    """
    asked = work.publish.prebuilt
    if asked is None:
        return {}
    given = Path(asked)
    parts = [part for part in (WEB, BACKEND) if (given / part).is_dir()]
    if not parts:
        raise BadInput(
            "prebuilt_not_found",
            f"{asked} has neither {WEB}/ nor {BACKEND}/",
            "docs/publishing.md says how a prebuilt directory is laid out",
        )
    _require_expected(work, parts)
    found = {}
    for part in parts:
        copied = prebuilt_part(work, part)
        copied.parent.mkdir(exist_ok=True)
        files, size = copy_built_files(given, part, copied, executable=part == BACKEND)
        work.log.line(f"prebuilt {part}: {files} files, {size} bytes of {asked}")
        found[part] = hashlib.sha256(json.dumps(digest_files(copied)).encode()).hexdigest()
    return found


def prebuilt_part(work: Work, part: str) -> Path:
    """Where the release keeps its copy of a prebuilt part until its step takes it."""
    return work.release / "prebuilt" / part


def put_backend_in_place(work: Work, directory: Path) -> bool:
    """Let the prebuilt backend be the backend's directory; False when there is none. Repeatable."""
    if BACKEND not in work.results["source"].get("prebuilt", {}):
        return False
    copied = prebuilt_part(work, BACKEND)
    if copied.is_dir():
        remove_tree(directory)
        copied.rename(directory)
    return True


def _require_expected(work: Work, parts: list[str]) -> None:
    application = work.application
    if WEB in parts and application.frontend is None:
        raise _not_expected(WEB, "a front end")
    if BACKEND in parts and (application.backend is None or application.backend.dir == "."):
        raise _not_expected(BACKEND, "a backend in a directory of its own")


def _not_expected(part: str, missing: str) -> BadInput:
    return BadInput(
        "prebuilt_not_expected",
        f"there is a prebuilt {part}/, but the commit's application has no {missing}",
        "say so in preview.toml: docs/preview-toml.md",
    )
