"""The units of branch code: backends, candidates, and the slice that all of it runs in."""

from collections.abc import Sequence

from ouroboros.domain.egress import ANY, NEAR
from ouroboros.domain.slot import Slot
from ouroboros.plans.units.confinement import BACKEND_LIMITS, BRANCH_CONFINED
from ouroboros.plans.units.places import INSTALL_ROOT, NOTICE, SOURCES, STEWARD_DIR


def render_egress(networks: Sequence[str]) -> str:
    """The drop-in of a backend that may reach these networks and nothing else.

    It shares the host's network then, so it may bind nothing, not even a unix socket, and the
    filter of its unit lets no packet through that goes to or comes from elsewhere; its listener
    is systemd's.
    """
    if ANY in networks:
        filtered = f"IPAddressDeny=\nIPAddressDeny={' '.join(NEAR)}\nIPAddressAllow=\n"
    else:
        filtered = f"IPAddressAllow=\nIPAddressAllow={' '.join(networks)}\n"
    return f"""{NOTICE}[Service]
PrivateNetwork=no
RestrictAddressFamilies=AF_INET6
{filtered}# Not SocketBindDeny=, which systemd ignores where cgroups are not unified.
SystemCallFilter=~bind
"""


def render_ports(slot: Slot) -> dict[str, str]:
    """The drop-ins that give a slot's sockets their ports (ListenStream= takes no variable)."""
    ports = {
        f"{slot.backend_unit}.socket.d/port.conf": slot.api_port,
        f"{slot.candidate_unit}.socket.d/port.conf": slot.candidate_port,
    }
    return {
        path: f"{NOTICE}[Socket]\nListenStream=127.0.0.1:{port}\n" for path, port in ports.items()
    }


YIELDING = "CPUWeight=20\nIOWeight=20"
"""What nobody waits for but a publish; visitors of other slots would feel it."""


_SET = "-+/usr/bin/env -i /usr/bin/systemctl set-property --runtime %n"
TRIED = "Restart=no\nSlice=ouroboros.slice"
LIVE = f"""Restart=always
Slice=previews.slice
# What a backend writes shall not be felt by the others, who read and write themselves.
IOWeight=20
# A whole processor while it starts; from then on what the steward says is its share.
# These two are root's, so they heed no variable (ADR 0052).
Environment=BACKEND_SHARE=100%%
ExecStartPre={_SET} CPUQuota=100%%
ExecStartPost={_SET} CPUQuota=${{BACKEND_SHARE}}"""
"""What visitors are answered by."""


def cpu_share(processors: int, slots: int) -> str:
    """What a backend may use of a processor once it has started, as CPUQuota= takes it.

    One half of the host is for what serves visitors, the other is shared by the slots and the
    builds: a backend that floods leaves the others' visitors alone (tests/box/test_floods.py).
    Never more than one processor, never less than a quarter.
    """
    return f"{min(100, max(25, 100 * processors // (2 * (slots + 1))))}%"


def branch_service(kind: str, title: str, restart: str) -> str:
    return f"""{NOTICE}[Unit]
Description={title} of %i
PartOf=ouroboros.target
After=network.target postgresql.service
# After five deaths in a minute it stays down until somebody starts it.
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
WatchdogSec=30
TimeoutStartSec=60
TimeoutStopSec=10
KillMode=mixed
User=ouroboros-%i
Group=ouroboros-%i
# Command, directory and environment of the release; the steward writes it before each start.
EnvironmentFile={STEWARD_DIR}/{kind}-%i.env
ExecStart=/usr/bin/python3 -IS {SOURCES}/adapters/launchers/unit.py
StandardOutput=append:{INSTALL_ROOT}/logs/backend-%i.log
{restart}
RestartSec=300ms
{BACKEND_LIMITS}{BRANCH_CONFINED}"""


def branch_socket(title: str) -> str:
    return f"""{NOTICE}[Unit]
Description={title}
PartOf=ouroboros.target
StartLimitIntervalSec=0

[Socket]
# Its ListenStream= stands in a drop-in of each instance.
NoDelay=yes
Backlog=1024
TriggerLimitIntervalSec=0
"""


SLICE = f"""{NOTICE}[Unit]
Description=Code of branches that no visitor waits for: builds, migrations, candidates

[Slice]
# Less than what serves visitors and keeps the leases, when both want the processor or the disk.
CPUWeight=20
IOWeight=20
TasksMax=2048
"""

PREVIEWS = f"""{NOTICE}[Unit]
Description=What answers the visitors of previews: router, surfaces, backends

[Slice]
# Visitors of one slot shall not feel what is built, tried or reset for another (ADR 0053). It
# stands beside system.slice, so this is how much more it counts than all of that.
CPUWeight=1000
"""
