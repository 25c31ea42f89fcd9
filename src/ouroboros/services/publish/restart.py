"""Restart: bring the new backend up beside the live one, and undo it when the publish fails.

A backend that takes an inherited listener starts as a candidate on a private port, so visitors
keep the old one until everything is checked. One that binds its port itself must replace the
live one here; when the publish fails later, the backend of the live release is started again.
"""

import time
from contextlib import suppress
from typing import Any

from ouroboros.adapters.http_probe import Answer, ask
from ouroboros.adapters.release_files import read_release
from ouroboros.domain.errors import Failed, PreviewError, TimedOut
from ouroboros.ports import BackendSpec, BackendStatus
from ouroboros.services.holding import visitors_held_back
from ouroboros.services.publish.hold import serve_live_again
from ouroboros.services.publish.work import Work
from ouroboros.services.released_backend import ReleasedBackend, released_backend

_POLL_S = 0.05


def restart_backend(work: Work) -> dict[str, Any]:
    """Start the release's backend; raises `backend_start_failed` and the codes of the runtime."""
    released = _released(work)
    if released is None:
        _require_fence(work)
        work.backends.runtime.discard(work.publish.slot, work.publish.fence)
        work.log.line("no backend to start")
        return {"port": None}
    slot, runtime = work.publish.slot, work.backends.runtime
    spec = work.backends.spec(slot, work.source, released)
    _require_fence(work)
    if spec.listen == "socket":
        status = _prepare(work, spec)
        port, nonce = status.candidate_port, status.candidate_nonce
    else:
        _make_room(work)
        _require_fence(work)
        runtime.start(slot, spec)
        port, nonce = slot.api_port, spec.env["PREVIEW_NONCE"]
    work.log.line(f"started {spec.argv[0]} on 127.0.0.1:{port}")
    work.log.line(f"its output: {spec.log_path}")
    return {"port": port, "listen": spec.listen, "nonce": nonce}


def check_readiness(work: Work) -> dict[str, Any]:
    """Wait until the new backend is healthy and the release can be served.

    Raises `backend_not_ready` after `ready_time_limit_s`, or `backend_start_failed` at once when
    its process has died for good.
    """
    web = work.release / "web"
    if work.application.frontend is not None and not web.is_dir():
        raise Failed("frontend_not_ready", f"{web} is not there")
    port = work.results["restart"]["port"]
    if port is None:
        return {"frontend": "ok", "backend": "none"}
    started = time.monotonic()
    while True:
        work.watch.require_wanted()
        answer = _ask_health(work, port)
        if _is_ready(work, answer):
            waited = time.monotonic() - started
            work.log.line(f"backend healthy after {waited:.2f} s")
            return {"frontend": "ok", "backend": "ok", "waited_s": round(waited, 3)}
        _require_hope(work, answer, time.monotonic() - started)
        time.sleep(_POLL_S)


def undo_restart(work: Work) -> None:
    """End the candidate; start the live release's backend again where it had to make room.

    While visitors are held back for the database's sake, `undo_migrate` starts it: only after
    the database is what the old code knows.
    """
    with suppress(PreviewError):
        work.backends.runtime.discard(work.publish.slot, work.publish.fence)
    _require_fence(work)
    if not work.results.get("migrate", {}).get("held"):
        serve_live_again(work)


def _require_fence(work: Work) -> None:
    """Refuse to touch the runtime under a lease that is gone (`stale_fence`).

    The row is not kept locked while a backend drains; the runtime itself refuses the old fence
    once the next lease has entered the slot.
    """
    with work.under_fence():
        pass


def _prepare(work: Work, spec: BackendSpec) -> BackendStatus:
    """Start a candidate; one that binds its port by itself must make room for it first."""
    slot, runtime = work.publish.slot, work.backends.runtime
    try:
        return runtime.prepare(slot, spec)
    except PreviewError as error:
        if error.code != "candidate_impossible":
            raise
        _make_room(work)
        return runtime.prepare(slot, spec)


def _make_room(work: Work) -> None:
    slot, fence = work.publish.slot, work.publish.fence
    with visitors_held_back(work.backends.web_roots, slot, fence):
        work.backends.runtime.stop(slot, fence)


def _released(work: Work) -> ReleasedBackend | None:
    return released_backend(work.release, read_release(work.release))


def _ask_health(work: Work, port: int) -> Answer:
    backend = work.application.backend
    path = backend.health if backend else "/health"
    return ask(port, path, headers={"X-Preview-Probe": "1"}, time_limit_s=2.0)


def _is_ready(work: Work, answer: Answer) -> bool:
    """Healthy, and answered by the process that was just started and by no stranger."""
    if answer.status != 200 or _is_another(work, work.backends.runtime.status(work.publish.slot)):
        return False
    return answer.headers.get("x-preview-nonce") in (None, work.results["restart"]["nonce"])


def _require_hope(work: Work, answer: Answer, waited_s: float) -> None:
    status = work.backends.runtime.status(work.publish.slot)
    hint = f"the backend's log: {work.layout.backend_log(work.publish.slot)}"
    if _has_failed(work, status):
        work.log.line(_backend_tail(work))
        raise Failed(
            "backend_start_failed", f"the backend ended at start: {status.last_exit}", hint
        )
    limit = work.settings.ready_time_limit_s
    if waited_s > limit:
        work.log.line(_backend_tail(work))
        said = f"status {answer.status}" if answer.status else answer.body
        raise TimedOut("backend_not_ready", f"not healthy after {limit} s: {said}", hint)


def _has_failed(work: Work, status: BackendStatus) -> bool:
    if work.results["restart"]["listen"] == "socket":
        return status.candidate_port is None
    return status.state in ("failed", "stopped", "backoff") or _is_another(work, status)


def _is_another(work: Work, status: BackendStatus) -> bool:
    """Whether what runs beside or instead of the live backend is of another publish."""
    ours = work.publish.release_id
    if work.results["restart"]["listen"] == "socket":
        return status.candidate_publish_id != ours
    return status.publish_id != ours


def _backend_tail(work: Work) -> str:
    try:
        with work.layout.backend_log(work.publish.slot).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 4096))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return "(the backend left no log)"
