"""Generated passwords: one file per role, readable by the owner of the state directory alone.

They are apart because everything that connects needs one, and because nothing else may write
into that directory.
"""

import contextlib
import os
import secrets
from pathlib import Path

from ouroboros.domain.errors import Failed


def password_of(secrets_dir: Path, role: str) -> str:
    """The password of a role; made at the first call, the same ever after.

    `role` is a name of ours, never input. Raises `state_dir_unwritable`.
    """
    path = secrets_dir / f"{role}.password"
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        return _make(path)
    except OSError as error:
        raise _unusable(path, error) from error


def _make(path: Path) -> str:
    """Write a new password whole or not at all; of two that race, both return the winner's."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(24))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return path.read_text(encoding="ascii")


def _unusable(path: Path, error: OSError) -> Failed:
    return Failed(
        "state_dir_unwritable",
        f"{path}: {error.strerror}",
        "make the state directory writable, or set OUROBOROS_STATE_DIR to one that is",
    )
