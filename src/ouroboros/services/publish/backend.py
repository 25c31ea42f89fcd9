"""Backend: install its dependencies from the run's branch, and write what the release is."""

from datetime import UTC, datetime
from typing import Any

from ouroboros.adapters.release_files import write_release
from ouroboros.domain.application import Backend
from ouroboros.domain.web_rules import API_PREFIX
from ouroboros.services.publish.bytecode import take_over_bytecode
from ouroboros.services.publish.made_of import write_made_of
from ouroboros.services.publish.prebuilt import put_backend_in_place
from ouroboros.services.publish.work import Work


def install_backend(work: Work) -> dict[str, Any]:
    """Install dependencies and write `release.json`; raises `backend_install_failed`."""
    backend = work.application.backend
    if backend is None:
        work.log.line("no backend")
    elif put_backend_in_place(work, work.source / backend.dir):
        work.log.line("prebuilt: nothing to install")
    elif backend.install:
        directory = work.source / backend.dir
        work.run(work.build_command(backend.install, directory), "backend_install_failed")
        live = work.backends.web_roots.live_release(work.publish.slot)
        if live is not None and live != work.release.resolve():
            count = take_over_bytecode(live / "src" / backend.dir, directory)
            work.log.line(f"{count} files of bytecode are those of {live.name}")
    document = _document(work, backend)
    write_release(work.release, document)
    write_made_of(work, document)
    return {"installed": bool(backend and backend.install)}


def _document(work: Work, backend: Backend | None) -> dict[str, Any]:
    application = work.application
    publish = work.publish
    slot = work.backends.slots.get(publish.slot)
    return {
        "format": 1,
        "publish_id": publish.publish_id,
        "slot_id": publish.slot.id,
        "run_id": publish.run_id,
        "fence": publish.fence,
        "commit_sha": work.commit,
        "branch": publish.ref,
        "repo": publish.repo,
        "created_at": datetime.now(UTC),
        "seed_version": slot["seed_version"],
        "snapshot_version": slot["snapshot_version"],
        "database_fingerprint": slot["database_fingerprint"],
        "spa": application.frontend.spa if application.frontend else False,
        "has_frontend": application.frontend is not None,
        "has_backend": backend is not None,
        "proxy_prefixes": [API_PREFIX, *(backend.proxy if backend else ())],
        "redirects": [rule.document() for rule in application.redirects],
        "headers": [rule.document() for rule in application.headers],
        "badge": True,
        "backend": None
        if backend is None
        else {
            "start": backend.start,
            "dir": backend.dir,
            "listen": backend.listen,
            "health": backend.health,
            "env": dict(backend.env),
            "egress": backend.egress,
        },
        "migrations": work.results["source"]["migrations"],
        "migrate": application.migrate,
        "migrate_dir": application.migrate_dir,
    }
