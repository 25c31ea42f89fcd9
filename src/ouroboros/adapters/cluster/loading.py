"""Runs seed files and archives in the workshop database, as the loader.

The loader is a login of its own that can enter nothing else, and psql's meta-commands are locked
by `\\restrict`, so a seed cannot start a shell (`\\!`), connect elsewhere (`\\c`) or write files.
"""

import re
import secrets
from pathlib import Path

from ouroboros.adapters.cluster.access import ClusterAccess
from ouroboros.adapters.cluster.embedded import server_env
from ouroboros.adapters.cluster.seed_files import SeedFile, private_copy
from ouroboros.domain.command import Command, Finished
from ouroboros.domain.errors import Failed, TimedOut
from ouroboros.plans.postgres_config import LOADER
from ouroboros.ports import CommandRunner

_LINE_OF_ERROR = re.compile(r":(\d+): (?:ERROR|error)")


def load_file(
    access: ClusterAccess,
    programs: Path,
    runner: CommandRunner,
    file: SeedFile,
    *,
    scratch_dir: Path,
    time_zone: str,
    time_limit_s: float,
) -> None:
    """Load a seed or snapshot file in one transaction.

    Raises `seed_failed` with the line and psql's last words, `seed_timed_out`, `disk_full`.
    """
    with private_copy(file, scratch_dir) as copy:
        tool = _restore(programs, copy) if file.is_archive else _psql(programs, copy)
        finished = runner.run(
            Command(
                argv=tool,
                cwd=copy.parent,
                env={**client_env(access, LOADER, LOADER), "PGTZ": time_zone},
                time_limit_s=time_limit_s,
                output_limit_bytes=8 << 20,
            )
        )
    if not finished.succeeded:
        raise _failure(file, finished, time_limit_s)


def client_env(access: ClusterAccess, role: str, database: str) -> dict[str, str]:
    """The environment of one of PostgreSQL's client programs; the password is never in argv."""
    return {
        **server_env(),
        "PGHOST": access.host,
        "PGPORT": str(access.port),
        "PGUSER": role,
        "PGDATABASE": database,
        "PGPASSWORD": access.password(role),
        "PGAPPNAME": "ouroboros",
    }


def _psql(programs: Path, copy: Path) -> tuple[str, ...]:
    key = secrets.token_hex(16)
    return (
        str(programs / "psql"),
        *("-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose"),
        *("-o", "/dev/null", "-c", f"\\restrict {key}", "-f", str(copy)),
    )


def _restore(programs: Path, copy: Path) -> tuple[str, ...]:
    return (
        str(programs / "pg_restore"),
        *("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"),
        *("--dbname", LOADER, str(copy)),
    )


def _failure(file: SeedFile, finished: Finished, time_limit_s: float) -> Exception:
    name = file.path.name
    facts: dict[str, str | int] = {"output": finished.output[-4000:]}
    if finished.timed_out:
        return TimedOut(
            "seed_timed_out",
            f"{name} did not load within {time_limit_s:g} s",
            "use COPY instead of INSERT, or raise OUROBOROS_BUILD_TIME_LIMIT_S",
            facts,
        )
    lines = [line for line in finished.output.splitlines() if line.strip()]
    first = next((line for line in lines if "ERROR" in line or "error" in line), "")
    place = _LINE_OF_ERROR.search(first)
    where = f" at line {place.group(1)}" if place else ""
    if place:
        facts = {**facts, "line": int(place.group(1))}
    said = first.rpartition(": ")[2] if not first else first.split(": ", 2)[-1]
    if "53100" in first:
        return Failed("disk_full", f"{name}: {said}", "make room on the disk of PostgreSQL", facts)
    return Failed(
        "seed_failed",
        f"{name} failed{where}: {said or f'status {finished.exit_status}'}",
        "nothing was changed; correct the file and reset again",
        facts,
    )
