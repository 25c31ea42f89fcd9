"""Taking an installation away from a host: everything, but the data unless it is told."""

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

from ouroboros.adapters.control.connection import open_pool
from ouroboros.adapters.control.leases import THIS_HOST, LeaseStore
from ouroboros.adapters.host import cluster
from ouroboros.adapters.host.units import reload_units, remove_units
from ouroboros.adapters.host.users import remove_users
from ouroboros.domain.errors import PreviewError
from ouroboros.domain.slot import SlotPool
from ouroboros.plans import host
from ouroboros.plans.units.places import (
    RUNTIME_PROPERTIES,
    RUNTIME_UNITS,
    SERVICE_USER,
    SURFACE_USER,
)
from ouroboros.services.host.provision import read_host_settings, require_ready_host
from ouroboros.settings import Settings, read_settings

_KEPT = ("secrets", "repositories", "artifacts", "snapshots", "backups", "ouroboros.env")


def remove_from_host(*, with_data: bool) -> dict[str, Any]:
    """End and remove what provisioning installed; may be repeated.

    Databases, passwords, snapshots, repositories and artifacts stay unless `with_data`. Previews
    do not, so their leases end.
    """
    require_ready_host()
    values, dsn, own_cluster = read_host_settings({})
    settings = read_settings({**values, "OUROBOROS_CONTROL_DSN": dsn})
    pool = settings.pool
    remove_units(_units(pool))
    told = _end_leases(settings, dsn)
    removed = [path for path in _system_files(pool) if _remove(path)]
    reload_units()
    if own_cluster:
        cluster.remove_cluster(with_data=with_data)
    kept = [] if with_data else [host.ROOT / name for name in _KEPT]
    for path in sorted(host.ROOT.iterdir()) if host.ROOT.is_dir() else []:
        if path not in kept and _remove(path):
            removed.append(path)
    if with_data:
        _remove(host.ROOT)
        _remove(Path(f"/var/lib/{host.CADDY_USER}"))
        users = [SURFACE_USER, host.CADDY_USER, *(slot.os_user for slot in pool), SERVICE_USER]
        remove_users(users)
    return {
        "removed": [str(path) for path in removed],
        "kept": [str(path) for path in kept if path.exists()],
        **told,
    }


def _end_leases(settings: Settings, dsn: str) -> dict[str, Any]:
    """End the leases of slots whose previews go with their releases.

    A control plane that does not answer keeps nothing here: its leases end by themselves.
    """
    with closing(open_pool(dsn, "ouroboros-provision", max_size=1)) as connections:
        leases = LeaseStore(
            connections,
            settings.pool,
            ttl_s=settings.lease_ttl_s,
            claim_ttl_s=settings.claim_ttl_s,
            host=THIS_HOST,
        )
        try:
            return {"leases_ended": leases.retire()}
        except PreviewError as error:
            return {"leases_not_ended": error.message}


def _units(pool: SlotPool) -> list[str]:
    """Services of branches first, and what answers visitors last."""
    of_slots = [
        f"{name}.{kind}"
        for slot in pool
        for name in (slot.candidate_unit, slot.backend_unit)
        for kind in ("socket", "service")
    ]
    upkeep = [f"ouroboros-{name}.service" for name in ("reap", "collect", "audit", "prepare")]
    ours = [unit for unit in host.wanted_units(pool) if "steward" not in unit]
    steward = [unit for unit in host.wanted_units(pool) if "steward" in unit]
    return [*reversed(ours), *upkeep, *of_slots, *steward, "ouroboros.slice", "previews.slice"]


def _system_files(pool: SlotPool) -> list[Path]:
    rendered = host.rendered_files(pool, host.PROGRAMS, 8088, "off")
    units = [each.path for each in rendered if each.path.is_relative_to(host.SYSTEM_UNITS)]
    drop_ins = sorted({path.parent for path in units if path.parent != host.SYSTEM_UNITS})
    until_boot = [
        Path(directory) / f"{unit}.service.d"
        for directory in (RUNTIME_UNITS, RUNTIME_PROPERTIES)
        for slot in pool
        for unit in (slot.backend_unit, slot.candidate_unit)
    ]
    return [*units, *drop_ins, *until_boot, host.SYSUSERS]


def _remove(path: Path) -> bool:
    """Remove a file or a directory with what is in it; whether it was there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        return True
    there = path.is_symlink() or path.exists()
    path.unlink(missing_ok=True)
    return there
