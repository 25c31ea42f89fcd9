"""The systemd units of a host, as text.

Three kinds of process with three degrees of trust: our own services, the steward (the only one
with root, and without a network), and branch code, which has nothing but its inherited listener
and PostgreSQL's unix socket. Sources: systemd.exec(5), systemd.service(5), systemd.socket(5),
systemd.resource-control(5) of systemd 252, Debian 12's.
"""

from collections.abc import Sequence

from ouroboros.domain.egress import ANY, NEAR
from ouroboros.domain.slot import Slot

INSTALL_ROOT = "/srv/oroboros"
CURRENT = f"{INSTALL_ROOT}/current"
STEWARD_DIR = f"{INSTALL_ROOT}/steward"
"""What the steward writes for PID 1 to read; root's alone, because it holds passwords."""
SETTINGS_FILE = f"{INSTALL_ROOT}/ouroboros.env"
SECRET_SETTINGS_FILE = f"{INSTALL_ROOT}/secrets/control.env"
RUNTIME_UNITS = "/run/systemd/system"
"""Units and drop-ins until the next boot (systemd.unit(5))."""
SERVICE_USER = "ouroboros"
SURFACE_USER = "ouroboros-web"
NOTICE = "# Rendered from the slot pool by `ouroboros render`; edit the renderer, not this file.\n"

_PYTHON = f"{CURRENT}/.venv/bin/python"
_SOURCES = f"{CURRENT}/src/ouroboros"

# What nothing of ours needs, ours or a branch's.
_CONFINED = """NoNewPrivileges=yes
PrivateDevices=yes
DevicePolicy=closed
PrivateTmp=yes
ProtectSystem=strict
ProtectHome=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
"""

_SERVICE = f"""{_CONFINED}CapabilityBoundingSet=
AmbientCapabilities=
MemoryDenyWriteExecute=yes
ProtectProc=invisible
ProcSubset=pid
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
"""

# W^X is not asked for, because Node.js and other JIT compilers write code.
_BRANCH = f"""{_CONFINED}CapabilityBoundingSet=
AmbientCapabilities=
PrivateNetwork=yes
PrivateUsers=yes
IPAddressDeny=any
IPAddressAllow=localhost
RestrictAddressFamilies=AF_UNIX AF_INET
ProtectProc=invisible
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources @keyring
UMask=0077
InaccessiblePaths=-/run/dbus -/run/systemd/private -/run/systemd/journal -/run/user
InaccessiblePaths=-{STEWARD_DIR} -{INSTALL_ROOT}/secrets -{INSTALL_ROOT}/run
InaccessiblePaths=-{INSTALL_ROOT}/repositories -{INSTALL_ROOT}/artifacts -{SETTINGS_FILE}
InaccessiblePaths=-/etc/systemd -/var/lib/postgresql -/var/log -/etc/postgresql
"""

BUILD_CONFINED = "".join(
    f"{line}\n"
    for line in _BRANCH.replace("UMask=0077", "UMask=0022").splitlines()
    if not line.startswith(("PrivateNetwork=", "IPAddress", "RestrictAddressFamilies="))
)
"""The same for a command of a branch, but for its network, which the operator decides."""

BACKEND_LIMITS = """TemporaryFileSystem=/tmp:size=256M,mode=1777 /var/tmp:size=64M,mode=1777
MemoryMax=768M
MemorySwapMax=0
TasksMax=256
CPUQuota=100%
LimitNOFILE=8192
LimitFSIZE=256M
LimitCORE=0
OOMPolicy=kill
"""


def render_units() -> dict[str, str]:
    """Every unit by its file name, but for those that belong to one slot."""
    return {
        "ouroboros.target": _TARGET,
        "ouroboros.slice": _SLICE,
        "ouroboros-steward.socket": _STEWARD_SOCKET,
        "ouroboros-steward.service": _STEWARD,
        "ouroboros-prepare.service": _PREPARE,
        "ouroboros-api.service": _control_plane("control plane API", "http", _API_NETWORK),
        "ouroboros-worker.service": _control_plane("worker", "worker", _WORKER_NETWORK),
        "ouroboros-web@.service": _WEB,
        "ouroboros-backend@.service": _branch_service("backend", "Backend", "Restart=always"),
        "ouroboros-backend@.socket": _branch_socket("Listener of the backend of %i"),
        "ouroboros-candidate@.service": _branch_service(
            "candidate", "Backend that is being tried", "Restart=no"
        ),
        "ouroboros-candidate@.socket": _branch_socket("Private listener of the candidate of %i"),
        "ouroboros-caddy.service": _CADDY,
        **_upkeep(),
    }


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


def _control_plane(title: str, module: str, network: str) -> str:
    return f"""{NOTICE}[Unit]
Description=Ouroboros {title}
PartOf=ouroboros.target
Requires=ouroboros-steward.socket
Wants=ouroboros-prepare.service
After=network.target postgresql.service ouroboros-prepare.service ouroboros-steward.socket
StartLimitIntervalSec=0

[Service]
Type=notify
WatchdogSec=60
TimeoutStartSec=infinity
TimeoutStopSec=30
User={SERVICE_USER}
EnvironmentFile={SETTINGS_FILE}
EnvironmentFile={SECRET_SETTINGS_FILE}
ExecStart={_PYTHON} -m ouroboros.entrypoints.{module}
Restart=always
RestartSec=500ms
UMask=0027
ReadWritePaths={INSTALL_ROOT}
InaccessiblePaths=-{STEWARD_DIR}
{_SERVICE}{network}
[Install]
WantedBy=ouroboros.target
"""


_API_NETWORK = """RestrictAddressFamilies=AF_UNIX AF_INET
IPAddressDeny=any
IPAddressAllow=localhost
MemoryMax=1G
TasksMax=512
"""
# The worker fetches repositories; which hosts it may reach is the operator's firewall's to say.
_WORKER_NETWORK = """RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
MemoryMax=2G
TasksMax=512
"""

_PREPARE = f"""{NOTICE}[Unit]
Description=Roles and schema of the Ouroboros control plane
PartOf=ouroboros.target
After=network.target postgresql.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
User={SERVICE_USER}
EnvironmentFile={SETTINGS_FILE}
EnvironmentFile={SECRET_SETTINGS_FILE}
ExecStart={_PYTHON} -m ouroboros.entrypoints.supervisor.database prepare
Restart=on-failure
RestartSec=1
UMask=0077
ReadWritePaths={INSTALL_ROOT}
InaccessiblePaths=-{STEWARD_DIR}
{_SERVICE}PrivateNetwork=yes
RestrictAddressFamilies=AF_UNIX
IPAddressDeny=any

[Install]
WantedBy=ouroboros.target
"""

_STEWARD_SOCKET = f"""{NOTICE}[Unit]
Description=Requests to the steward of the slots
PartOf=ouroboros.target

[Socket]
# The first answers requests about backends, the second runs commands of branches.
ListenStream={INSTALL_ROOT}/run/supervisor.sock
ListenStream={INSTALL_ROOT}/run/commands.sock
SocketUser={SERVICE_USER}
SocketMode=0600
RemoveOnStop=yes

[Install]
WantedBy=ouroboros.target
"""

# Root, because only root starts units and gives files away; and nothing else that root could do.
_STEWARD = f"""{NOTICE}[Unit]
Description=Steward of the slots: starts and ends what belongs to them
PartOf=ouroboros.target
StartLimitIntervalSec=0

[Service]
Type=notify
WatchdogSec=60
EnvironmentFile={SETTINGS_FILE}
ExecStart={_PYTHON} -m ouroboros.entrypoints.steward
Restart=always
RestartSec=200ms
UMask=0077
ReadWritePaths={STEWARD_DIR} {INSTALL_ROOT}/releases {INSTALL_ROOT}/logs
ReadWritePaths={INSTALL_ROOT}/homes
# Drop-ins of backends that may reach something (plans/units.render_egress).
ReadWritePaths={RUNTIME_UNITS}
MemoryMax=512M
TasksMax=256
{_CONFINED}CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER
PrivateNetwork=yes
IPAddressDeny=any
RestrictAddressFamilies=AF_UNIX
MemoryDenyWriteExecute=yes
ProcSubset=pid
SystemCallFilter=@system-service
SystemCallFilter=~@resources

[Install]
WantedBy=ouroboros.target
"""

_WEB = f"""{NOTICE}[Unit]
Description=Web surface of %i
PartOf=ouroboros.target
After=network.target
StartLimitIntervalSec=0

[Service]
Type=notify
WatchdogSec=20
User={SURFACE_USER}
SupplementaryGroups=ouroboros-%i
EnvironmentFile={CURRENT}/infra/systemd/env/web-%i.env
ExecStart={_PYTHON} {CURRENT}/scripts/run-web-surface.py \\
    --root ${{WEB_ROOT}} --port ${{WEB_PORT}} --api-target ${{WEB_API_PROXY_TARGET}} \\
    --allowed-hosts ${{WEB_ALLOWED_HOSTS}}
Restart=always
RestartSec=200ms
UMask=0077
MemoryMax=512M
TasksMax=64
InaccessiblePaths=-{STEWARD_DIR} -{INSTALL_ROOT}/secrets -{INSTALL_ROOT}/run
{_SERVICE}RestrictAddressFamilies=AF_UNIX AF_INET
IPAddressDeny=any
IPAddressAllow=localhost

[Install]
WantedBy=ouroboros.target
"""


_CADDY = f"""{NOTICE}[Unit]
Description=Router of the previews
PartOf=ouroboros.target
After=network.target
StartLimitIntervalSec=0

[Service]
Type=notify
User=ouroboros-caddy
Environment=XDG_DATA_HOME=/var/lib/ouroboros-caddy XDG_CONFIG_HOME=/var/lib/ouroboros-caddy
ExecStart=/usr/bin/caddy run --config {CURRENT}/infra/caddy/Caddyfile --adapter caddyfile
Restart=always
RestartSec=200ms
StateDirectory=ouroboros-caddy
StateDirectoryMode=0700
RuntimeDirectory=ouroboros-caddy
RuntimeDirectoryMode=0700
UMask=0077
LimitNOFILE=1048576
MemoryMax=1G
TasksMax=512
InaccessiblePaths=-{STEWARD_DIR} -{INSTALL_ROOT}/secrets -{INSTALL_ROOT}/run
{_CONFINED}AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
MemoryDenyWriteExecute=yes
ProtectProc=invisible
ProcSubset=pid
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6

[Install]
WantedBy=ouroboros.target
"""


def _branch_service(kind: str, title: str, restart: str) -> str:
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
Slice=ouroboros.slice
# Command, directory and environment of the release; the steward writes it before each start.
EnvironmentFile={STEWARD_DIR}/{kind}-%i.env
ExecStart=/usr/bin/python3 -IS {_SOURCES}/adapters/launchers/unit.py
StandardOutput=append:{INSTALL_ROOT}/logs/backend-%i.log
{restart}
RestartSec=300ms
{BACKEND_LIMITS}{_BRANCH}"""


def _branch_socket(title: str) -> str:
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


_SLICE = f"""{NOTICE}[Unit]
Description=Code of branches: backends, builds, migrations

[Slice]
# Less than what serves visitors and keeps the leases, when both want the processor or the disk.
CPUWeight=20
IOWeight=20
TasksMax=2048
"""

_TARGET = f"""{NOTICE}[Unit]
Description=Ouroboros previews

[Install]
WantedBy=multi-user.target
"""

_TIMERS = {
    "reap": ("End overdue leases", "OnBootSec=1min\nOnUnitActiveSec=1min"),
    "collect": ("Remove what nothing needs", "OnBootSec=10min\nOnUnitActiveSec=1h"),
    "audit": ("Audit slots, databases and files", "OnCalendar=*-*-* 03:30\nPersistent=yes"),
}


def _upkeep() -> dict[str, str]:
    files = {}
    for name, (title, when) in _TIMERS.items():
        files[f"ouroboros-{name}.timer"] = f"""{NOTICE}[Unit]
Description={title}, regularly
PartOf=ouroboros.target

[Timer]
{when}
AccuracySec=10s

[Install]
WantedBy=ouroboros.target
"""
        files[f"ouroboros-{name}.service"] = f"""{NOTICE}[Unit]
Description={title}
After=ouroboros-api.service

[Service]
Type=oneshot
TimeoutStartSec=30min
User={SERVICE_USER}
EnvironmentFile={SETTINGS_FILE}
ExecStart={_PYTHON} -m ouroboros.entrypoints.upkeep {name}
UMask=0077
{_SERVICE}PrivateNetwork=yes
RestrictAddressFamilies=AF_UNIX
IPAddressDeny=any
"""
    return files
