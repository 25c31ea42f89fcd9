"""Front end: install, build, and copy the built files into the release.

Reuse is decided by content: a build whose whole tree, commands and variables are the same as one
that this slot has kept is copied from there, and `node_modules` are taken over while the lock
file is unchanged. A kept build lives in the slot's own cache, which no other slot can write.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from ouroboros.adapters.release_files import copy_built_files, remove_tree
from ouroboros.domain.application import Frontend
from ouroboros.services.publish.prebuilt import WEB, prebuilt_part
from ouroboros.services.publish.work import Work

_KEPT_BUILDS = 5


def build_frontend(work: Work) -> dict[str, Any]:
    """Make `web/` of the release; raises `frontend_build_failed` and the build limits' codes."""
    frontend = work.application.frontend
    if frontend is None:
        work.log.line("no front end: the surface serves the backend alone")
        return {"built": False}
    if WEB in work.results["source"].get("prebuilt", {}):
        return _take_prebuilt(work)
    key = _build_key(work, frontend)
    kept = work.layout.cache(work.publish.slot) / "web" / key
    reused = kept.is_dir()
    work.log.line(f"vite_api_base_url={work.build_environment()['VITE_API_BASE_URL']}")
    work.log.line(f"slot_backend_url={work.publish.slot.backend_url}")
    if not reused:
        _build(work, frontend)
        _keep(work, f"{frontend.dir}/{frontend.output}", kept)
    else:
        work.log.line(f"unchanged: reusing the build {key[:12]}")
    files, size = copy_built_files(kept, ".", work.release / "web")
    work.log.line(f"{files} files, {size} bytes")
    return {"built": True, "reused": reused, "files": files, "size_bytes": size, "key": key}


def _take_prebuilt(work: Work) -> dict[str, Any]:
    copied = prebuilt_part(work, WEB)
    work.log.line(f"{work.precompress(str(copied))} files compressed")
    files, size = copy_built_files(copied, ".", work.release / "web")
    work.log.line(f"prebuilt: {files} files, {size} bytes")
    return {"built": False, "prebuilt": True, "files": files, "size_bytes": size}


def _build(work: Work, frontend: Frontend) -> None:
    directory = work.source / frontend.dir
    if frontend.install:
        _install(work, frontend, directory)
    if frontend.build:
        work.run(work.build_command(frontend.build, directory), "frontend_build_failed")
    if frontend.install:
        _put_away(work, frontend, directory)


def _install(work: Work, frontend: Frontend, directory: Path) -> None:
    kept = _kept_modules(work, frontend, directory)
    if kept is not None and kept.is_dir():
        remove_tree(directory / "node_modules")
        kept.rename(directory / "node_modules")
        work.log.line("the lock file is unchanged: reusing node_modules")
        return
    work.run(work.build_command(frontend.install, directory), "frontend_install_failed")


def _put_away(work: Work, frontend: Frontend, directory: Path) -> None:
    """Keep `node_modules` for the next build with the same lock file; only the newest set."""
    kept = _kept_modules(work, frontend, directory)
    modules = directory / "node_modules"
    if kept is not None and modules.is_dir() and not modules.is_symlink():
        remove_tree(kept.parent)
        kept.parent.mkdir(parents=True)
        modules.rename(kept)


def _kept_modules(work: Work, frontend: Frontend, directory: Path) -> Path | None:
    lock = directory / (frontend.lock_file or "")
    if not lock.is_file() or lock.is_symlink():
        return None
    digest = hashlib.sha256(lock.read_bytes())
    digest.update(json.dumps([frontend.dir, frontend.install]).encode())
    cache = work.layout.cache(work.publish.slot)
    return cache / "node_modules" / digest.hexdigest()[:32]


def _build_key(work: Work, frontend: Frontend) -> str:
    """A digest of all that the build depends on."""
    environment = work.build_environment()
    seen = {name: environment[name] for name in environment if name.startswith("VITE_")}
    parts = [
        work.results["source"].get("tree") or work.commit,
        frontend.dir,
        work.build_command(frontend.install, work.source).argv,
        work.build_command(frontend.build, work.source).argv,
        frontend.output,
        seen,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _keep(work: Work, output: str, kept: Path) -> None:
    draft = kept.with_name(f"{kept.name}.draft")
    copy_built_files(work.source, output, draft)
    work.log.line(f"{work.precompress(str(draft))} files compressed")
    remove_tree(kept)
    draft.rename(kept)
    builds = sorted(
        (path for path in kept.parent.iterdir() if path.is_dir()),
        key=lambda path: path.stat().st_mtime,
    )
    for old in builds[:-_KEPT_BUILDS]:
        remove_tree(old)
