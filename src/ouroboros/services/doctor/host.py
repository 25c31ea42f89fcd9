"""What the doctor says of a host: programs with known holes, room, limits that contradict.

Only for the host form; in local mode the machine belongs to whoever tries it.
"""

import os
from collections.abc import Callable, Iterable, Iterator

from ouroboros.adapters.cluster.sql import run
from ouroboros.adapters.control.connection import ControlPool
from ouroboros.adapters.host.observe import OK, disk_room
from ouroboros.adapters.host.versions import read_version, version_of_program
from ouroboros.domain.finding import Finding, Severity
from ouroboros.plans.sql import statement
from ouroboros.settings import Settings

Version = tuple[int, ...]

_ENOUGH_MEMORY_BYTES = 3500 << 20
_UNIT_START_LIMIT_S = 60
_SHORTEST_LEASE_S = 60
# The first version without the hole that is named.
_FLOORS: dict[str, tuple[str, Version, str]] = {
    "caddy": ("version", (2, 11, 2), "CVE-2026-30851"),
    "git": ("--version", (2, 39, 5), "CVE-2024-32002"),
    "node": ("--version", (20, 0, 0), "no more security fixes before 20"),
}
# By major version: CVE-2025-8714 (a dump runs code when it is restored).
_POSTGRES_FLOORS = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}


def examine_host(control: ControlPool, settings: Settings) -> Callable[[], Iterable[Finding]]:
    """The examination of the host; it changes nothing."""

    def examine() -> list[Finding]:
        if not settings.systemd:
            return []
        return [
            *_programs(version_of_program),
            *_postgres(_postgres_version(control)),
            *_room(settings),
            *contradictions(settings),
        ]

    return examine


def _programs(version_of: Callable[[str, str], Version | None]) -> Iterator[Finding]:
    for name, (argument, floor, why) in _FLOORS.items():
        found = version_of(name, argument)
        if found is None:
            yield Finding("version_unseen", Severity.NOTE, f"{name} does not tell its version")
        elif found < floor:
            yield Finding(
                "version_with_known_hole",
                Severity.WARNING,
                f"{name} {_dotted(found)} is older than {_dotted(floor)}: {why}",
                f"install {name} {_dotted(floor)} or later; Debian may have mended its own",
                {"program": name, "found": _dotted(found), "floor": _dotted(floor)},
            )


def _postgres_version(control: ControlPool) -> Version | None:
    with control.connection() as connection:
        [(text,)] = run(connection, statement("SHOW server_version"))
    return read_version(str(text))


def _postgres(found: Version | None) -> Iterator[Finding]:
    floor = _POSTGRES_FLOORS.get(found[0]) if found else None
    if found and floor is not None and found[1] < floor:
        yield Finding(
            "version_with_known_hole",
            Severity.WARNING,
            f"PostgreSQL {found[0]}.{found[1]} is older than {found[0]}.{floor}: CVE-2025-8714",
            "apt-get update && apt-get install postgresql",
            {"program": "postgresql", "found": f"{found[0]}.{found[1]}"},
        )


def _room(settings: Settings) -> Iterator[Finding]:
    if (found := disk_room(settings.state_dir)) != OK:
        yield Finding(
            "disk_nearly_full",
            Severity.ERROR,
            f"{settings.state_dir}: {found}, and no build is begun",
            "df -h; systemctl start ouroboros-collect.service; fewer OUROBOROS_KEEP_RELEASES",
        )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if memory < _ENOUGH_MEMORY_BYTES:
        yield Finding(
            "little_memory",
            Severity.WARNING,
            f"{memory >> 20} MB of memory; a build may take 3072",
            "give the host 4 GB, or lower MemoryMax= of builds",
        )


def contradictions(settings: Settings) -> Iterator[Finding]:
    """Limits of which one makes another useless."""
    if settings.ready_time_limit_s > _UNIT_START_LIMIT_S:
        yield Finding(
            "limits_contradict",
            Severity.WARNING,
            f"OUROBOROS_READY_TIME_LIMIT_S is {settings.ready_time_limit_s}, and a backend's unit"
            f" is given up after {_UNIT_START_LIMIT_S} s",
            f"set it to {_UNIT_START_LIMIT_S} at most, or raise TimeoutStartSec= of the unit",
        )
    if settings.lease_ttl_s < _SHORTEST_LEASE_S:
        yield Finding(
            "limits_contradict",
            Severity.WARNING,
            f"OUROBOROS_LEASE_TTL_S is {settings.lease_ttl_s}: a lease ends between two heartbeats",
            "set it to several times the interval of heartbeats; 1800 is the default",
        )
    if settings.claim_ttl_s > settings.lease_ttl_s:
        yield Finding(
            "limits_contradict",
            Severity.WARNING,
            f"OUROBOROS_CLAIM_TTL_S ({settings.claim_ttl_s}) is longer than OUROBOROS_LEASE_TTL_S"
            f" ({settings.lease_ttl_s})",
            "a run that waits must claim its slot before its lease would end",
        )


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))
