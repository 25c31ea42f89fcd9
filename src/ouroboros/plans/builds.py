"""What a command of a branch may do on a host: the properties of its transient unit.

Source: systemd.exec(5) and systemd.resource-control(5). It may write the release that is being
built, the slot's caches and the slot's home; reach what the operator lets builds reach, and
never this host itself; and use so much memory, processor, time and room in a file.
"""

from dataclasses import dataclass
from pathlib import Path

from ouroboros.domain.egress import NEAR
from ouroboros.domain.slot import Slot
from ouroboros.plans.layout import Layout
from ouroboros.plans.units.branches import YIELDING
from ouroboros.plans.units.confinement import BUILD_CONFINED

# systemd-run takes no more than one of the words localhost, link-local and multicast.
_THIS_HOST_AND_NEAR = " ".join(NEAR)
ANY_EGRESS = "any"
NO_EGRESS = "none"


@dataclass(frozen=True, slots=True)
class BuildLimits:
    """Limits of one command; sizes in bytes, time in seconds."""

    memory_bytes: int = 3 << 30
    file_bytes: int = 1 << 30
    tasks: int = 1024
    cpu_percent: int = 150
    time_limit_s: float = 900.0


def build_properties(
    slot: Slot,
    layout: Layout,
    release: Path,
    environment_file: Path,
    *,
    limits: BuildLimits,
    egress: str,
) -> list[str]:
    """The properties for systemd-run; `egress` is `any`, `none`, or addresses with commas."""
    cache = layout.cache(slot)
    writable = (release / "src", cache / "npm", cache / "uv", layout.home(slot))
    return [
        f"User={slot.os_user}",
        f"Group={slot.os_user}",
        "Slice=ouroboros.slice",
        f"EnvironmentFile={environment_file}",
        *(f"ReadWritePaths=-{path}" for path in writable),
        f"MemoryMax={limits.memory_bytes}",
        "MemorySwapMax=0",
        f"TasksMax={limits.tasks}",
        f"CPUQuota={limits.cpu_percent}%",
        *YIELDING.splitlines(),
        f"LimitFSIZE={limits.file_bytes}",
        "LimitNOFILE=65536",
        "LimitCORE=0",
        "OOMPolicy=kill",
        f"RuntimeMaxSec={limits.time_limit_s:.0f}",
        "TimeoutStopSec=2",
        "KillMode=control-group",
        *_network(egress),
        *BUILD_CONFINED.splitlines(),
    ]


def _network(egress: str) -> list[str]:
    if egress == NO_EGRESS:
        return [
            "PrivateNetwork=yes",
            "RestrictAddressFamilies=AF_UNIX AF_INET",
            "IPAddressDeny=any",
        ]
    families = "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK"
    if egress == ANY_EGRESS:
        # The host's own ports, its cloud's metadata service and its neighbours by broadcast.
        return [families, f"IPAddressDeny={_THIS_HOST_AND_NEAR}"]
    allowed = " ".join(egress.split(","))
    return [families, "IPAddressDeny=any", f"IPAddressAllow={allowed}"]
