"""Probes: what hostile branch code would try from inside a slot, each with the guard against it.

`code` runs in the slot and prints `THROUGH` when it got what it must not get. `without` says which
directives of the backend's unit are the guard: with them replaced, and nothing else, the same
code gets through, so the probe is able to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

ROOT = "/srv/oroboros"
_NO_NETWORK = {"PrivateNetwork": "no", "IPAddressDeny": "", "PrivateUsers": "no"}
_VISIBLE = {"InaccessiblePaths": "", "PrivateUsers": "no"}
_AS_ROOT = {"User": "root", "Group": "root", "PrivateUsers": "no"}
_OVERRIDES_MODES = {"CapabilityBoundingSet": "CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH"}
_AS_OURS = {"User": "ouroboros", "Group": "ouroboros", "PrivateUsers": "no"}
_AS_NEIGHBOUR = {"User": "ouroboros-preview2", "Group": "ouroboros-preview2", "PrivateUsers": "no"}
_SHARED_TMP = {"PrivateTmp": "no", "TemporaryFileSystem": ""}
_MAY_WRITE = {"ProtectSystem": "no"}


@dataclass(frozen=True)
class Probe:
    """One threat. `threat` is its line in docs/threat-model.md."""

    name: str
    code: str
    without: Mapping[str, str] = field(default_factory=dict)


def connect(target: str) -> str:
    """Connect to `host:port`, a path, or an abstract name (`@name`)."""
    if target.startswith(("/", "@")):
        address = repr(target.replace("@", "\0"))
        return f"s = socket.socket(socket.AF_UNIX); s.connect({address}); through()"
    host, _, port = target.rpartition(":")
    return f"socket.create_connection(({host!r}, {port}), 3); through()"


def read(path: str) -> str:
    """Read a file, or list a directory."""
    return (
        f"p = {path!r}\n"
        "print(os.listdir(p) if os.path.isdir(p) else open(p, 'rb').read(10)); through()"
    )


def write(directory: str) -> str:
    """Make a file in a directory."""
    return f"p = {directory!r} + '/made-by-a-probe'\nopen(p, 'w').close(); os.unlink(p); through()"


PROBES = (
    Probe("connects-to-a-neighbours-backend", connect("127.0.0.1:8102"), _NO_NETWORK),
    Probe("connects-to-a-neighbours-surface", connect("127.0.0.1:3102"), _NO_NETWORK),
    Probe("connects-to-the-control-api", connect("127.0.0.1:8000"), _NO_NETWORK),
    Probe("connects-to-the-router", connect("127.0.0.1:8088"), _NO_NETWORK),
    Probe("connects-to-the-metadata-address", connect("169.254.169.254:80"), _NO_NETWORK),
    Probe("connects-to-postgres-by-tcp", connect("127.0.0.1:5432"), _NO_NETWORK),
    Probe(
        "takes-a-port-of-the-host",
        "assert os.readlink('/proc/self/ns/net') == NETWORK\n"
        "s = socket.socket(); s.bind(('127.0.0.1', 8199)); s.listen(); through()",
        _NO_NETWORK,
    ),
    Probe("finds-an-abstract-socket", connect("@ouroboros-probe"), _NO_NETWORK),
    Probe(
        "asks-the-kernels-network-tables",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); through()",
        {"RestrictAddressFamilies": ""},
    ),
    Probe("asks-the-steward", connect(f"{ROOT}/run/supervisor.sock"), {**_VISIBLE, **_AS_OURS}),
    Probe("asks-for-a-command", connect(f"{ROOT}/run/commands.sock"), {**_VISIBLE, **_AS_OURS}),
    Probe("asks-the-api-by-its-socket", connect(f"{ROOT}/run/api.sock"), {**_VISIBLE, **_AS_OURS}),
    Probe("asks-the-message-bus", connect("/run/dbus/system_bus_socket"), _VISIBLE),
    Probe("asks-systemd", connect("/run/systemd/private"), {**_VISIBLE, **_AS_ROOT}),
    Probe(
        "asks-caddys-admin-endpoint",
        connect("/run/ouroboros-caddy/admin.sock"),
        {"User": "ouroboros-caddy", "Group": "ouroboros-caddy", "PrivateUsers": "no"},
    ),
    Probe("reads-a-neighbours-release", read(f"{ROOT}/releases/preview-2"), _AS_NEIGHBOUR),
    Probe("reads-a-neighbours-home", read(f"{ROOT}/homes/preview-2"), _AS_NEIGHBOUR),
    Probe("reads-a-neighbours-cache", read(f"{ROOT}/cache/preview-2"), _AS_NEIGHBOUR),
    Probe(
        "reads-a-neighbours-password",
        read(f"{ROOT}/steward/backend-preview2.env"),
        {**_VISIBLE, **_AS_ROOT},
    ),
    Probe(
        "reads-the-control-planes-password",
        read(f"{ROOT}/secrets/control.env"),
        {**_VISIBLE, **_AS_ROOT, **_OVERRIDES_MODES},
    ),
    Probe(
        "reads-a-neighbours-environment",
        "assert b'app_preview_2' in open(f'/proc/{NEIGHBOUR}/environ', 'rb').read(); through()",
        {
            **_AS_ROOT,
            "CapabilityBoundingSet": "CAP_SYS_PTRACE CAP_DAC_READ_SEARCH",
            "ProtectProc": "default",
        },
    ),
    Probe(
        "sees-other-processes",
        "open('/proc/1/cmdline', 'rb').read(); through()",
        {"ProtectProc": "default"},
    ),
    Probe("signals-a-neighbour", "os.kill(NEIGHBOUR, 0); through()", _AS_NEIGHBOUR),
    Probe("reads-password-hashes", read("/etc/shadow"), {**_AS_ROOT, **_OVERRIDES_MODES}),
    Probe("reads-homes-of-people", read("/root"), {"ProtectHome": "no", **_AS_ROOT}),
    Probe("reads-logs-of-the-host", read("/var/log/left-by-another"), {"InaccessiblePaths": ""}),
    Probe("reads-tmp-of-others", read("/tmp/left-by-another"), _SHARED_TMP),
    Probe("writes-its-own-release", write("SOURCE"), {**_MAY_WRITE, **_AS_OURS}),
    Probe("writes-what-is-served", write(f"{ROOT}/web/preview-1"), {**_MAY_WRITE, **_AS_OURS}),
    Probe(
        "writes-to-the-workers-files",
        write(f"{ROOT}/artifacts"),
        {**_MAY_WRITE, **_AS_OURS, **_VISIBLE},
    ),
    Probe("writes-to-the-program", write(f"{ROOT}/current/src"), {**_MAY_WRITE, **_AS_ROOT}),
    Probe("writes-a-unit", write("/etc/cron.d"), {**_MAY_WRITE, **_AS_ROOT}),
    Probe(
        "makes-namespaces",
        "import ctypes\nassert ctypes.CDLL(None, use_errno=True).unshare(0x10000000) == 0\n"
        "through()",
        {"RestrictNamespaces": "no", "SystemCallFilter": ""},
    ),
    Probe(
        "writes-kernel-settings",
        "open('/proc/sys/kernel/core_pattern', 'a').close(); through()",
        {**_AS_ROOT, "ProtectKernelTunables": "no"},
    ),
    Probe(
        "gains-privileges-by-a-set-id-program",
        "import ctypes\nassert ctypes.CDLL(None).prctl(39, 0, 0, 0, 0) == 0\nthrough()",
        {"NoNewPrivileges": "no", "SystemCallFilter": "", "RestrictNamespaces": "no",
         "PrivateDevices": "no", "ProtectKernelTunables": "no", "ProtectKernelModules": "no",
         "ProtectKernelLogs": "no", "ProtectClock": "no", "MemoryDenyWriteExecute": "no",
         "RestrictRealtime": "no", "RestrictSUIDSGID": "no", "SystemCallArchitectures": "",
         "LockPersonality": "no", "RestrictAddressFamilies": "", "ProtectHostname": "no",
         "DynamicUser": "no"},
    ),
)  # fmt: skip

_PRELUDE = """
import os, socket, sys
NETWORK, NEIGHBOUR = {network!r}, {neighbour}
def through():
    print("THROUGH")
try:
{body}
except BaseException as error:
    print("refused:", repr(error))
"""


def program(probe: Probe, network: str, neighbour: int, source: str) -> str:
    """The probe as a program; `network` is the host's namespace, `neighbour` another slot's pid."""
    body = "\n".join(f"    {line}" for line in probe.code.splitlines())
    text = _PRELUDE.format(network=network, neighbour=neighbour, body=body)
    return text.replace("'SOURCE'", repr(source))
