"""Whether an application may have the network that its `preview.toml` asks for.

Asked when its commit is laid out, so that a branch is told before anything is built. On a host the
steward asks the same again before it gives a unit anything; in local mode nothing is confined.
"""

from ouroboros.domain.application import Application
from ouroboros.domain.egress import refused
from ouroboros.domain.errors import Refused
from ouroboros.settings import Settings


def require_egress(application: Application, settings: Settings) -> None:
    """Raise `egress_not_allowed` naming each network that the operator does not allow."""
    backend = application.backend
    if not settings.systemd or backend is None:
        return
    missing = refused(backend.egress, settings.backend_egress)
    if missing:
        raise Refused(
            "egress_not_allowed",
            f"preview.toml asks for {', '.join(missing)}, and this host allows backends"
            f" {settings.backend_egress}",
            "take it out of [backend] egress, or ask the operator for OUROBOROS_BACKEND_EGRESS",
            {"asked": list(backend.egress), "refused": missing},
        )
