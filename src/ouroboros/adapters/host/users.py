"""The users of a host, made by systemd-sysusers(8)."""

import pwd
import subprocess
from pathlib import Path

from ouroboros.domain.errors import Failed


def user_exists(name: str) -> bool:
    """Whether there is a user of this name."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def make_users(declared: Path) -> None:
    """Make the users and memberships that a file declares; raises `users_not_made`."""
    argv = ("systemd-sysusers", str(declared))
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed("users_not_made", done.stderr.strip()[-400:], " ".join(argv))


def remove_users(names: list[str]) -> None:
    """Remove users and their groups; not an error for one that is not there."""
    for name in names:
        subprocess.run(("userdel", name), capture_output=True, check=False)
        subprocess.run(("groupdel", name), capture_output=True, check=False)
