"""Switch: show visitors the new front end and the new backend, and prove that they are served.

Both switches happen under the lease's fence and while the surface holds back what it would send to
the backend: no visitor sees one without the other, or either before it is proven. What was served
before is remembered first, so a failure of the proof goes back by itself.
"""

import time
from contextlib import suppress
from typing import Any

from ouroboros.adapters.http_probe import ask
from ouroboros.domain.errors import Failed, PreviewError
from ouroboros.services.holding import ANSWERS_LIMIT_S, visitors_held_back
from ouroboros.services.publish.work import Work

_PROOF_LIMIT_S = 10.0


def switch_visitors(work: Work) -> dict[str, Any]:
    """Switch backend and front end; raises `stale_fence`, `switch_not_proven`."""
    publish, roots = work.publish, work.backends.web_roots
    with work.under_fence():
        pass  # the runtime refuses a lower fence only once it has seen a higher one
    listen = work.results["restart"].get("listen")
    # One that inherits its listener answers what it has while the next one serves already.
    limit_s = 0.0 if listen else ANSWERS_LIMIT_S
    with visitors_held_back(roots, publish.slot, publish.fence, limit_s):
        if listen == "socket":
            work.backends.runtime.promote(publish.slot, publish.release_id, publish.fence)
        elif listen is None:
            work.backends.runtime.stop(publish.slot, publish.fence)
        with work.under_fence():
            roots.switch(publish.slot, work.release, publish.fence)
            roots.tell(
                publish.slot,
                publish.fence,
                "ready",
                run_id=publish.run_id,
                commit_sha=work.commit,
                publish_id=publish.release_id,
            )
        _prove(work)
    return {"release": work.release.name, "before": live_before(work)}


def undo_switch(work: Work) -> None:
    """Serve again what was served before this publish."""
    slot, roots = work.publish.slot, work.backends.web_roots
    with suppress(PreviewError):  # a worker that was killed in the switch has left visitors waiting
        roots.let_go(slot, work.publish.fence)
    if roots.live_release(slot) != work.release.resolve():
        return
    before = live_before(work)
    with work.under_fence():
        if before is None:
            roots.clear(slot, work.publish.fence)
        else:
            roots.switch(slot, work.layout.release(slot, before), work.publish.fence)


def live_before(work: Work) -> str | None:
    """The publish that is live by the control plane, which only the end of a publish changes."""
    live = work.backends.slots.get(work.publish.slot)["publish_id"]
    return None if live == work.publish.release_id else live


def _prove(work: Work) -> None:
    """Ask surface and backend at the slot's own ports which publish they serve."""
    deadline = time.monotonic() + _PROOF_LIMIT_S
    while (problem := _unproven_page(work) or _unproven_backend(work)) is not None:
        if time.monotonic() > deadline:
            raise Failed("switch_not_proven", problem, "ouroboros status shows what is not running")
        time.sleep(0.02)
    work.log.line(f"{work.publish.slot.preview_url} serves {work.commit}")


def _unproven_page(work: Work) -> str | None:
    slot = work.publish.slot
    page = ask(slot.web_port, "/health", headers={"Host": slot.host_name})
    served = page.json() if page.status == 200 else None
    if isinstance(served, dict) and served.get("publish_id") == work.publish.release_id:
        return None
    return (
        f"the surface of {slot.id} does not serve {work.publish.release_id}: "
        f"{page.status} {page.body[:200]}"
    )


def _unproven_backend(work: Work) -> str | None:
    backend, slot = work.application.backend, work.publish.slot
    if backend is None:
        return None
    runs = work.backends.runtime.status(slot).publish_id
    if runs != work.publish.release_id:
        return f"the backend of {slot.id} is that of {runs}"
    answer = ask(slot.api_port, backend.health, headers={"X-Preview-Probe": "1"})
    nonce = answer.headers.get("x-preview-nonce")
    if answer.status == 200 and nonce in (None, work.results["restart"].get("nonce")):
        return None
    return f"the backend of {slot.id} does not serve this publish: {answer.status}"
