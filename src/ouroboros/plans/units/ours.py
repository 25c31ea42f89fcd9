"""The units of our own services, the steward, the router, and what is done regularly."""

from ouroboros.plans.units.confinement import CONFINED, SERVICE_CONFINED
from ouroboros.plans.units.places import (
    CURRENT,
    INSTALL_ROOT,
    NOTICE,
    PYTHON,
    RUNTIME_UNITS,
    SECRET_SETTINGS_FILE,
    SERVICE_USER,
    SETTINGS_FILE,
    STEWARD_DIR,
    SURFACE_USER,
)


def control_plane_unit(title: str, module: str, network: str) -> str:
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
ExecStart={PYTHON} -m ouroboros.entrypoints.{module}
Restart=always
RestartSec=500ms
UMask=0027
ReadWritePaths={INSTALL_ROOT}
InaccessiblePaths=-{STEWARD_DIR}
{SERVICE_CONFINED}{network}
[Install]
WantedBy=ouroboros.target
"""


API_NETWORK = """RestrictAddressFamilies=AF_UNIX AF_INET
IPAddressDeny=any
IPAddressAllow=localhost
MemoryMax=1G
TasksMax=512
"""
# The worker fetches repositories; which hosts it may reach is the operator's firewall's to say.
WORKER_NETWORK = """RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
MemoryMax=2G
TasksMax=512
"""

PREPARE = f"""{NOTICE}[Unit]
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
ExecStart={PYTHON} -m ouroboros.entrypoints.supervisor.database prepare
Restart=on-failure
RestartSec=1
UMask=0077
ReadWritePaths={INSTALL_ROOT}
InaccessiblePaths=-{STEWARD_DIR}
{SERVICE_CONFINED}PrivateNetwork=yes
RestrictAddressFamilies=AF_UNIX
IPAddressDeny=any

[Install]
WantedBy=ouroboros.target
"""

STEWARD_SOCKET = f"""{NOTICE}[Unit]
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
STEWARD = f"""{NOTICE}[Unit]
Description=Steward of the slots: starts and ends what belongs to them
PartOf=ouroboros.target
StartLimitIntervalSec=0

[Service]
Type=notify
WatchdogSec=60
EnvironmentFile={SETTINGS_FILE}
ExecStart={PYTHON} -m ouroboros.entrypoints.steward
Restart=always
RestartSec=200ms
UMask=0077
ReadWritePaths={STEWARD_DIR} {INSTALL_ROOT}/releases {INSTALL_ROOT}/logs
ReadWritePaths={INSTALL_ROOT}/homes {INSTALL_ROOT}/cache
# Drop-ins of backends that may reach something.
ReadWritePaths={RUNTIME_UNITS}
MemoryMax=512M
TasksMax=256
{CONFINED}CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER
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

WEB = f"""{NOTICE}[Unit]
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
ExecStart={PYTHON} {CURRENT}/scripts/run-web-surface.py \\
    --root ${{WEB_ROOT}} --port ${{WEB_PORT}} --api-target ${{WEB_API_PROXY_TARGET}} \\
    --allowed-hosts ${{WEB_ALLOWED_HOSTS}}
Restart=always
RestartSec=200ms
UMask=0077
Slice=previews.slice
CPUWeight=1000
MemoryMax=512M
TasksMax=64
InaccessiblePaths=-{STEWARD_DIR} -{INSTALL_ROOT}/secrets -{INSTALL_ROOT}/run
{SERVICE_CONFINED}RestrictAddressFamilies=AF_UNIX AF_INET
IPAddressDeny=any
IPAddressAllow=localhost

[Install]
WantedBy=ouroboros.target
"""


CADDY = f"""{NOTICE}[Unit]
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
Slice=previews.slice
CPUWeight=1000
LimitNOFILE=1048576
MemoryMax=1G
TasksMax=512
InaccessiblePaths=-{STEWARD_DIR} -{INSTALL_ROOT}/secrets -{INSTALL_ROOT}/run
{CONFINED}AmbientCapabilities=CAP_NET_BIND_SERVICE
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


TARGET = f"""{NOTICE}[Unit]
Description=Ouroboros previews

[Install]
WantedBy=multi-user.target
"""

_TIMERS = {
    "reap": ("End overdue leases", "OnBootSec=1min\nOnUnitActiveSec=1min"),
    "collect": ("Remove what nothing needs", "OnBootSec=10min\nOnUnitActiveSec=1h"),
    "audit": ("Audit slots, databases and files", "OnCalendar=*-*-* 03:30\nPersistent=yes"),
}


def upkeep_units() -> dict[str, str]:
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
ExecStart={PYTHON} -m ouroboros.entrypoints.upkeep {name}
UMask=0077
{SERVICE_CONFINED}PrivateNetwork=yes
RestrictAddressFamilies=AF_UNIX
IPAddressDeny=any
"""
    return files
