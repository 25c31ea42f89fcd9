"""What an installation on a host consists of: users, directories, files, links and units.

A plan is a list of values that say how things must be; comparing and mending them is done by
adapters, the same way for a first installation, an update, a dry run and a check of drift.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ouroboros.domain.slot import SlotPool
from ouroboros.plans.infrastructure import API_PORT, UNITS, render_env, render_infrastructure
from ouroboros.plans.units.places import (
    INSTALL_ROOT,
    SECRET_SETTINGS_FILE,
    SERVICE_USER,
    SETTINGS_FILE,
    STEWARD_DIR,
    SURFACE_USER,
)

ROOT = Path(INSTALL_ROOT)
PROGRAMS = ROOT / "releases"
"""Installed versions of Ouroboros (`ouroboros-<version>`); `current` leads to the one that runs.

The releases of slots lie beside them, in directories named like their slots."""
SYSTEM_UNITS = Path("/etc/systemd/system")
SYSUSERS = Path("/etc/sysusers.d/ouroboros.conf")
CADDY_USER = "ouroboros-caddy"


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory with its owner; what is in it is not looked at."""

    path: Path
    mode: int
    owner: str = "root"
    group: str = "root"


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file of ours with exactly this text. A secret one is never shown in a difference."""

    path: Path
    text: str
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    path: Path
    target: str


Item = Directory | TextFile | Link


def sysusers(pool: SlotPool) -> TextFile:
    """The users of a host (sysusers.d(5)): ours, and one for each slot."""
    lines = [f'u {name} - "Ouroboros" {INSTALL_ROOT}' for name in (SERVICE_USER, SURFACE_USER)]
    lines.append(f'u {CADDY_USER} - "Ouroboros router" /var/lib/{CADDY_USER}')
    for slot in pool:
        lines.append(f'u {slot.os_user} - "Ouroboros {slot.id}" {INSTALL_ROOT}/homes/{slot.id}')
        lines.append(f"m {SERVICE_USER} {slot.os_user}")
    return TextFile(SYSUSERS, "".join(f"{line}\n" for line in lines))


def directories(pool: SlotPool) -> list[Directory]:
    """The state directory, and whose each part of it is."""
    ours, state = SERVICE_USER, ROOT
    found = [
        Directory(state, 0o755),
        Directory(Path(STEWARD_DIR), 0o700),
        Directory(state / "secrets", 0o700, ours, ours),
        Directory(state / "run", 0o755, ours, ours),
        Directory(state / "logs", 0o750, "root", ours),
        Directory(state / "releases", 0o755),
        Directory(state / "cache", 0o755),
        Directory(state / "homes", 0o755),
        Directory(state / "web", 0o755, ours, ours),
        Directory(state / "snapshots", 0o750, ours, ours),
    ]
    found += [
        Directory(state / name, 0o750, ours, ours)
        for name in ("artifacts", "repositories", "backups", "scratch")
    ]
    found.append(Directory(state / "tools", 0o755, ours, ours))
    for slot in pool:
        user = slot.os_user
        found += [
            # The group and its bit are inherited by every release that is made inside.
            Directory(state / "releases" / slot.id, 0o2750, ours, user),
            Directory(state / "web" / slot.id, 0o2750, ours, user),
            Directory(state / "homes" / slot.id, 0o750, user, ours),
            Directory(state / "cache" / slot.id, 0o2750, ours, user),
            Directory(state / "cache" / slot.id / "npm", 0o700, user, user),
            Directory(state / "cache" / slot.id / "uv", 0o700, user, user),
        ]
    return found


def settings_files(values: Mapping[str, str], control_dsn: str) -> list[TextFile]:
    """The configuration of our services; the part with a password is root's alone."""
    return [
        TextFile(Path(SETTINGS_FILE), render_env(values)),
        TextFile(
            Path(SECRET_SETTINGS_FILE),
            f'OUROBOROS_CONTROL_DSN="{control_dsn}"\n',
            0o600,
            secret=True,
        ),
    ]


def rendered_files(
    pool: SlotPool,
    program: Path,
    caddy_port: int,
    tls: str,
    *,
    gate_port: int = 0,
    dashboard_port: int = API_PORT,
) -> list[TextFile]:
    """What is rendered from the pool: into the installed version, and the units for systemd."""
    files = []
    rendered = render_infrastructure(
        pool, caddy_port, tls, gate_port=gate_port, dashboard_port=dashboard_port
    )
    for path, text in rendered.items():
        files.append(TextFile(program / path, text))
        if path.startswith(f"{UNITS}/") and not path.startswith(f"{UNITS}/env/"):
            files.append(TextFile(SYSTEM_UNITS / path.removeprefix(f"{UNITS}/"), text))
    return files


def wanted_units(pool: SlotPool) -> list[str]:
    """The units that are enabled and run, in the order in which they are started."""
    return [
        "ouroboros-steward.socket",
        "ouroboros-steward.service",
        *(f"{slot.web_unit}.service" for slot in pool),
        "ouroboros-caddy.service",
        "ouroboros-prepare.service",
        "ouroboros-api.service",
        "ouroboros-worker.service",
        "ouroboros-reap.timer",
        "ouroboros-collect.timer",
        "ouroboros-audit.timer",
        "ouroboros.target",
    ]


def inputs_of(unit: str, pool: SlotPool, program: Path) -> list[Path]:
    """The files that a running unit read when it started: newer than that, it is out of date."""
    name, _, suffix = unit.rpartition(".")
    template = name.split("@")[0] + ("@" if "@" in name else "")
    found = [SYSTEM_UNITS / f"{template}.{suffix}"]
    if suffix != "service":
        return found
    if name == "ouroboros-caddy":
        return [*found, program / "infra/caddy/Caddyfile"]
    found += [ROOT / "current"]
    for slot in pool:
        if name == slot.web_unit:
            return [*found, program / slot.web_env_file]
    found.append(Path(SETTINGS_FILE))
    return found if "steward" in name else [*found, Path(SECRET_SETTINGS_FILE)]
