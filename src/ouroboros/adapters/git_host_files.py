"""Reading `git-hosts.toml` and the secrets that it names.

Secrets stand in files beside it or in the environment, never in the file itself, so that it can be
shown, compared and kept in version control.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from ouroboros.domain.errors import BadInput
from ouroboros.domain.git_host import Repository, invalid_git_hosts, parse_git_hosts

_LIMIT_BYTES = 1 << 20
_SECRET_LIMIT_BYTES = 4096


def read_git_hosts(path: Path, environ: Mapping[str, str]) -> tuple[Repository, ...]:
    """The repositories that get previews; none when there is no such file.

    Raises `invalid_git_hosts` with every problem. A relative path of a secret is below the
    directory of the file.
    """
    try:
        text = _read(path, _LIMIT_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, ValueError) as error:
        raise invalid_git_hosts({str(path): f"cannot be read: {error}"}) from error

    def read_secret(kind: str, place: str) -> str:
        return _variable(environ, place) if kind == "env" else _secret(path.parent / place)

    return parse_git_hosts(text, read_secret)


def _variable(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise BadInput("secret_missing", f"names {name[:80]!r}, which is not set")
    return value


def _secret(path: Path) -> str:
    """A secret that others of this machine cannot read."""
    try:
        if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            raise BadInput("secret_readable", f"names {path}, which everybody can read: chmod 600")
        return _read(path, _SECRET_LIMIT_BYTES).strip()
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise BadInput("secret_missing", f"names {path}, which cannot be read: {reason}") from error


def _read(path: Path, limit_bytes: int) -> str:
    with path.open("rb") as file:
        data = file.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise ValueError(f"more than {limit_bytes} bytes")
    return data.decode("utf-8")
