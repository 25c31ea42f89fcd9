"""What processes of a host may not do, in three degrees of trust.

Our own services, the steward and the router (which add to the first degree what they need), and
branch code, which has nothing but its inherited listener and PostgreSQL's unix socket.
"""

from ouroboros.plans.units.places import INSTALL_ROOT, SETTINGS_FILE, STEWARD_DIR

# What nothing of ours needs, ours or a branch's.
CONFINED = """NoNewPrivileges=yes
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

SERVICE_CONFINED = f"""{CONFINED}CapabilityBoundingSet=
AmbientCapabilities=
MemoryDenyWriteExecute=yes
ProtectProc=invisible
ProcSubset=pid
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
"""

# W^X is not asked for, because Node.js and other JIT compilers write code.
BRANCH_CONFINED = f"""{CONFINED}CapabilityBoundingSet=
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
    for line in BRANCH_CONFINED.replace("UMask=0077", "UMask=0022").splitlines()
    if not line.startswith(("PrivateNetwork=", "IPAddress", "RestrictAddressFamilies="))
)
"""The same for a command of a branch, but for its network, which the operator decides."""

BACKEND_LIMITS = """TemporaryFileSystem=/tmp:size=256M,mode=1777 /var/tmp:size=64M,mode=1777
MemoryMax=768M
MemorySwapMax=0
TasksMax=128
CPUQuota=100%
LimitNOFILE=8192
LimitFSIZE=256M
LimitCORE=0
OOMPolicy=kill
"""
