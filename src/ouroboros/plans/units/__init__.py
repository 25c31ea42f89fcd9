"""The systemd units of a host, as text.

Three kinds of process with three degrees of trust: our own services, the steward (the only one
with root, and without a network), and branch code. Sources: systemd.exec(5), systemd.service(5),
systemd.socket(5), systemd.resource-control(5) of systemd 252, Debian 12's.
"""

from ouroboros.plans.units import branches, ours


def render_units() -> dict[str, str]:
    """Every unit by its file name, but for those that belong to one slot."""
    return {
        "ouroboros.target": ours.TARGET,
        "ouroboros.slice": branches.SLICE,
        "previews.slice": branches.PREVIEWS,
        "ouroboros-steward.socket": ours.STEWARD_SOCKET,
        "ouroboros-steward.service": ours.STEWARD,
        "ouroboros-prepare.service": ours.PREPARE,
        "ouroboros-api.service": ours.control_plane_unit(
            "control plane API", "http", ours.API_NETWORK
        ),
        "ouroboros-worker.service": ours.control_plane_unit(
            "worker", "worker", ours.WORKER_NETWORK
        ),
        "ouroboros-web@.service": ours.WEB,
        "ouroboros-backend@.service": branches.branch_service("backend", "Backend", branches.LIVE),
        "ouroboros-backend@.socket": branches.branch_socket("Listener of the backend of %i"),
        "ouroboros-candidate@.service": branches.branch_service(
            "candidate", "Backend that is being tried", f"{branches.TRIED}\n{branches.YIELDING}"
        ),
        "ouroboros-candidate@.socket": branches.branch_socket(
            "Private listener of the candidate of %i"
        ),
        "ouroboros-caddy.service": ours.CADDY,
        **ours.upkeep_units(),
    }
