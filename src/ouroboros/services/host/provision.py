"""Provisioning: a Debian host with systemd, Caddy and PostgreSQL becomes a host of previews.

Each stage looks at what is there and changes only what differs, so it may be repeated at any time
and after any failure: it goes on where it stopped. Nothing is restarted that runs from the files
that are there. A dry run and a check of drift are the same looking without the changing.
"""

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ouroboros.adapters.host import files, program
from ouroboros.adapters.host.caddy import require_valid
from ouroboros.adapters.host.cluster import apply_cluster, compare_cluster, control_dsn, is_of_host
from ouroboros.adapters.host.files import Difference
from ouroboros.adapters.host.units import apply_unit, compare_unit, reload_units
from ouroboros.adapters.host.users import make_users, user_exists
from ouroboros.domain.errors import BadInput, Refused
from ouroboros.plans import host
from ouroboros.plans.units.places import CURRENT, SECRET_SETTINGS_FILE, SETTINGS_FILE
from ouroboros.settings import Settings, read_settings

_DSN = "OUROBOROS_CONTROL_DSN"
_FIXED = {
    "OUROBOROS_HOME": CURRENT,
    "OUROBOROS_STATE_DIR": str(host.ROOT),
    "OUROBOROS_PROCESSES": "systemd",
    "OUROBOROS_SNAPSHOTS_DIR": str(host.ROOT / "snapshots"),
}
_OF_A_SESSION = ("OUROBOROS_URL", "OUROBOROS_TOKEN", _DSN, *_FIXED)
_PROGRAMS = {
    "caddy": "caddy",
    "psql": "postgresql",
    "git": "git",
    "runuser": "util-linux",
    "systemd-sysusers": "systemd",
}


@dataclass(slots=True)
class Provision:
    """One pass over a host; `changing` is False for a dry run and a check."""

    home: Path
    environ: Mapping[str, str]
    changing: bool
    tell: Callable[[str], None] = lambda _: None
    found: list[Difference] = field(default_factory=list)

    def run(self) -> dict[str, Any]:
        """Look at everything in order, and mend it when changing.

        Raises `host_not_ready`, `invalid_configuration`, `caddyfile_invalid`,
        `program_not_installed`, `postgres_not_prepared`, `unit_failed`.
        """
        require_ready_host()
        values, dsn, own_cluster = read_host_settings(self.environ)
        settings = read_settings({**values, _DSN: dsn})
        pool = settings.pool
        version = program.program_of(self.home)
        self._users(settings)
        self._each(host.directories(pool))
        self._program(version)
        self._each(host.settings_files(values, dsn))
        if own_cluster:
            self._cluster(dsn)
        rendered = host.rendered_files(
            pool,
            version,
            settings.caddy_port,
            settings.tls,
            gate_port=settings.gate_port,
            dashboard_port=settings.api_port if settings.routes_dashboard else 0,
        )
        require_valid(next(each.text for each in rendered if each.path.name == "Caddyfile"))
        if self._each(rendered) and self.changing:
            reload_units()
        self._each([host.Link(Path(CURRENT), str(version.relative_to(host.ROOT)))])
        self._units(settings, version)
        return {
            "version": version.name,
            "dry_run": not self.changing,
            "changes": [each.document() for each in self.found],
        }

    def _each(self, items: Iterable[host.Item]) -> bool:
        """Compare items, and apply those that differ; whether any did."""
        differing = False
        for item in items:
            if (difference := files.compare(item)) is not None:
                self._note(difference)
                differing = True
                if self.changing:
                    files.apply(item)
        return differing

    def _note(self, difference: Difference) -> None:
        self.found.append(difference)
        self.tell(f"{difference.what} {difference.path}: {difference.change}")

    def _users(self, settings: Settings) -> None:
        wanted = host.sysusers(settings.pool)
        changed = self._each([wanted])
        missing = [
            line.split()[1]
            for line in wanted.text.splitlines()
            if line.startswith("u ") and not user_exists(line.split()[1])
        ]
        for name in missing:
            self._note(Difference("user", name, "create"))
        if self.changing and (changed or missing):
            make_users(wanted.path)

    def _program(self, version: Path) -> None:
        if not program.is_installed(version):
            self._note(Difference("program", str(version), "install"))
            if self.changing:
                program.install(self.home, version)

    def _cluster(self, dsn: str) -> None:
        differing = compare_cluster(dsn)
        for difference in differing:
            self._note(difference)
        if differing and self.changing:
            apply_cluster(dsn)

    def _units(self, settings: Settings, version: Path) -> None:
        for unit in host.wanted_units(settings.pool):
            inputs = host.inputs_of(unit, settings.pool, version)
            if (difference := compare_unit(unit, inputs)) is not None:
                self._note(difference)
                if self.changing:
                    apply_unit(unit, difference)


def require_no_drift(report: Mapping[str, Any]) -> None:
    """Raise `host_drifted` naming what is not as it must be."""
    if report["changes"]:
        first = report["changes"][0]
        raise Refused(
            "host_drifted",
            f"{len(report['changes'])} things differ; first {first['what']} {first['path']}: "
            f"{first['change']}",
            "scripts/preview-slots-provision.sh",
            {"changes": report["changes"]},
        )


def require_ready_host() -> None:
    """Check what provisioning needs of a host; raises `host_not_ready` with every problem."""
    problems = []
    if os.geteuid() != 0:
        problems.append("provisioning needs root")
    if not Path("/run/systemd/system").is_dir():
        problems.append("systemd does not run this host")
    missing = sorted({package for name, package in _PROGRAMS.items() if not shutil.which(name)})
    if missing:
        problems.append(f"missing: apt-get install {' '.join(missing)}")
    if problems:
        raise Refused("host_not_ready", "; ".join(problems), "docs/operator.md")


def read_host_settings(environ: Mapping[str, str]) -> tuple[dict[str, str], str, bool]:
    """The settings of the installation: what is installed, and over it what is given now.

    Also the control plane's URL, and whether it is in the host's own cluster, which is then
    prepared, too.
    """
    values = {"OUROBOROS_DOMAIN": "example.com", **_read_env(Path(SETTINGS_FILE)), **_FIXED}
    for key, value in environ.items():
        ours = key.startswith("OUROBOROS_") or key == "SLOT_IDS_CSV"
        if ours and key not in _OF_A_SESSION:
            values[key] = value
    stored = _read_env(Path(SECRET_SETTINGS_FILE)).get(_DSN)
    dsn = environ.get(_DSN) or stored or control_dsn(secrets.token_urlsafe(24))
    if not dsn.isprintable() or any(letter in dsn for letter in '"\\$`'):
        raise BadInput("invalid_configuration", f"{_DSN} holds a character that needs quoting")
    own = is_of_host(dsn)
    return dict(sorted(values.items())), dsn, own


def _read_env(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip().strip('"') for key, value in pairs}
