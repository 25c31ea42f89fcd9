"""What a release was made of and what came out, as an artifact that outlives the release.

Two publishes of the same commit can be compared by it, weeks later and from different slots.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ouroboros.adapters.application_files import read_lock_file
from ouroboros.adapters.release_files import digest_files
from ouroboros.domain.errors import NotFound
from ouroboros.services.publish.work import Work

MADE_OF = "made-of.json"
_PYTHON_LOCK = "uv.lock"


def write_made_of(work: Work, release: Mapping[str, Any]) -> None:
    """Write the artifact; `release` is the release's own document."""
    web = work.release / "web"
    document = {
        "publish_id": work.publish.publish_id,
        "commit_sha": work.commit,
        "migrations": release["migrations"],
        "seed_version": release["seed_version"],
        "snapshot_version": release["snapshot_version"],
        "database_fingerprint": release["database_fingerprint"],
        "prebuilt": work.results["source"].get("prebuilt", {}),
        "lock_files": _lock_files(work),
        "files": digest_files(web) if web.is_dir() else {},
    }
    work.log.write(MADE_OF, json.dumps(document, indent=1))


def read_made_of(artifacts: Path, publish_id: str) -> dict[str, Any]:
    """The artifact of a publish, from its directory; raises `nothing_recorded`."""
    try:
        document = json.loads((artifacts / MADE_OF).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NotFound(
            "nothing_recorded",
            f"what {publish_id} was made of is not recorded: it did not come so far",
            f"ouroboros logs {publish_id}",
        ) from error
    return dict(document)


def _lock_files(work: Work) -> dict[str, str]:
    application = work.application
    paths = []
    if application.frontend is not None and application.frontend.lock_file:
        paths.append(f"{application.frontend.dir}/{application.frontend.lock_file}")
    if application.backend is not None:
        paths.append(f"{application.backend.dir}/{_PYTHON_LOCK}")
    found = {path: read_lock_file(work.source / path) for path in paths}
    return {path: hashlib.sha256(data).hexdigest() for path, data in found.items() if data}
