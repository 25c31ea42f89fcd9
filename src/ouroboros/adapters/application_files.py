"""Finding out what an application is: its `preview.toml`, or the conventional layout.

Reads branch files, so it follows no symlink and reads no more than a configuration can be.
"""

import os
import stat
from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import Path

from ouroboros.domain.application import (
    FILE_NAME,
    Application,
    Backend,
    Frontend,
    parse_application,
)
from ouroboros.domain.errors import BadInput

_LIMIT_BYTES = 256 * 1024
_LOCK_LIMIT_BYTES = 64 * 1024 * 1024


def read_application(worktree: Path) -> Application:
    """The application in a worktree; raises `invalid_preview_toml`, `application_not_recognised`.

    The convention (docs/preview-toml.md): `frontend/` with npm and Vite, `backend/` with uv,
    `app.main:app` and, when there is an `alembic.ini`, Alembic.
    """
    text = read_regular_file(worktree, FILE_NAME)
    if text is not None:
        return parse_application(text)
    frontend = _has(worktree, "frontend/package.json")
    backend = _has(worktree, "backend/pyproject.toml")
    if not frontend and not backend:
        raise BadInput(
            "application_not_recognised",
            "there is no preview.toml, and neither frontend/package.json nor "
            "backend/pyproject.toml",
            "add a preview.toml: docs/preview-toml.md",
        )
    return Application(
        Frontend("frontend", ("npm", "ci"), ("npm", "run", "build"), "dist", "package-lock.json")
        if frontend
        else None,
        Backend(
            (".venv/bin/python", "{launcher.asgi}", "app.main:app"),
            "backend",
            ("uv", "sync", "--frozen", "--no-dev"),
            "socket",
        )
        if backend
        else None,
        (".venv/bin/alembic", "upgrade", "head") if _has(worktree, "backend/alembic.ini") else (),
        "backend",
        _alembic_files(worktree),
        heartbeat_smoke=backend,
    )


def _alembic_files(worktree: Path) -> tuple[str, ...]:
    """What the migrations of the convention are made of; the whole commit when that is unclear."""
    text = (
        read_regular_file(worktree, "backend/alembic.ini")
        if _has(worktree, "backend/alembic.ini")
        else None
    )
    parser = ConfigParser(interpolation=None)
    try:
        parser.read_string(text or "")
        section = parser["alembic"]
    except (ConfigError, KeyError):
        return ()
    location = section.get("script_location", "").replace("%(here)s/", "").strip("/")
    plain = location and not any(sign in location for sign in "%:\n") and ".." not in location
    if not plain or "version_locations" in section:
        return ()
    return ("backend/alembic.ini", f"backend/{location}")


def read_regular_file(root: Path, relative: str) -> str | None:
    """A small regular file below `root`, or None; raises `invalid_preview_toml` for a link."""
    path = root / relative
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadInput(
            "invalid_preview_toml", f"{relative} cannot be read: {error.strerror}"
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise BadInput("invalid_preview_toml", f"{relative} is not a regular file")
        data = file.read(_LIMIT_BYTES + 1)
    try:
        if len(data) <= _LIMIT_BYTES:
            return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    raise BadInput("invalid_preview_toml", f"{relative} is too large or not UTF-8")


def read_lock_file(path: Path) -> bytes | None:
    """A lock file's bytes, up to 64 MB; None when there is no such regular file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(file.fileno())
        fine = stat.S_ISREG(facts.st_mode) and facts.st_size <= _LOCK_LIMIT_BYTES
        return file.read() if fine else None


def _has(worktree: Path, relative: str) -> bool:
    path = worktree / relative
    return path.is_file() and not path.is_symlink() and not path.parent.is_symlink()
