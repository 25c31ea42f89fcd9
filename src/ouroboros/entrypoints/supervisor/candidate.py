"""A candidate: how it is started beside the live backend, and what is said of it."""

import socket
from dataclasses import replace

from ouroboros.adapters.listeners import open_listener
from ouroboros.domain.errors import Refused, TimedOut
from ouroboros.domain.slot import Slot
from ouroboros.entrypoints.supervisor.children import Children
from ouroboros.entrypoints.supervisor.serving import Serving, start_serving
from ouroboros.ports import BackendSpec, BackendStatus


async def start_candidate(
    spec: BackendSpec,
    children: Children,
    public: socket.socket,
    starter: socket.socket | None = None,
) -> Serving:
    """Start a backend on a private port, with the public listener in hand; see `start_serving`."""
    with open_listener(0) as private:
        port = private.getsockname()[1]
        return await start_serving(spec, children, (private, public), port, starter)


def with_candidate(status: BackendStatus, candidate: Serving) -> BackendStatus:
    """The status of a slot's backend with what there is to say of its candidate."""
    return replace(
        status,
        candidate_port=candidate.port if candidate.alive else None,
        candidate_state=candidate.state,
        candidate_publish_id=candidate.spec.publish_id,
        candidate_nonce=candidate.nonce,
        candidate_exit=None if candidate.alive else candidate.child.exit_text,
    )


def not_ready(candidate: Serving, slot: Slot) -> Refused:
    """It cannot be promoted: it does not answer on its own port."""
    end = "" if candidate.alive else f" ({candidate.child.exit_text})"
    return Refused(
        "candidate_not_ready",
        f"the candidate of {slot.id} does not answer{end}",
        f"see {candidate.spec.log_path}",
    )


def unproven(candidate: Serving, slot: Slot, limit_s: float) -> TimedOut:
    """It was promoted, and did not prove in time that it serves the slot's port."""
    return TimedOut(
        "promotion_unproven",
        f"the candidate did not answer on port {slot.api_port} within {limit_s:g} s",
        f"see {candidate.spec.log_path}",
    )
