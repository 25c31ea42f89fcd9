"""Reading from a release what its backend is and how its database is migrated."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ouroboros.domain.application import Backend
from ouroboros.domain.errors import Failed


@dataclass(frozen=True, slots=True)
class ReleasedBackend:
    """What a release says about its backend; `release.json` holds it without secrets."""

    publish_id: str
    run_id: str
    commit_sha: str
    fence: int
    directory: Path
    backend: Backend
    migrate: tuple[str, ...]
    migrate_directory: Path
    migrations: str | None


def released_backend(release: Path, document: Mapping[str, Any]) -> ReleasedBackend | None:
    """Read what `release.json` says about the backend; None when there is none.

    Raises `release_damaged`.
    """
    stored = document.get("backend")
    if not stored:
        return None
    try:
        return _read_backend(release, document, stored)
    except (KeyError, TypeError, AttributeError) as error:
        raise Failed(
            "release_damaged",
            f"{release.name}/release.json says nothing usable about the backend: {error!r}",
            "publish again",
        ) from error


def _read_backend(
    release: Path, document: Mapping[str, Any], stored: Mapping[str, Any]
) -> ReleasedBackend:
    source = release / "src"
    return ReleasedBackend(
        publish_id=document["publish_id"],
        run_id=document["run_id"],
        commit_sha=document["commit_sha"],
        fence=document["fence"],
        directory=source / stored["dir"],
        backend=Backend(
            start=tuple(stored["start"]),
            dir=stored["dir"],
            listen=stored["listen"],
            health=stored["health"],
            env=stored["env"],
            egress=tuple(stored.get("egress", ())),
        ),
        migrate=tuple(document["migrate"]),
        migrate_directory=source / document["migrate_dir"],
        migrations=document.get("migrations"),
    )
