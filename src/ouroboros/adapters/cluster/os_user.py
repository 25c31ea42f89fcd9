"""As which OS user our PostgreSQL runs when we are root, and how it becomes that user.

PostgreSQL refuses to run as root. Nothing of the host is changed for it: no user is added, and no
directory's mode is opened (docs/adr/0013).
"""

import contextlib
import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path

from ouroboros.domain.errors import Refused


def choose_os_user() -> str | None:
    """`postgres` or else `nobody` when we are root; None when we are not.

    Raises `no_user_for_postgres`.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise Refused(
        "no_user_for_postgres",
        "PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody",
        "run as an ordinary user, or adduser --system postgres",
    )


def become(os_user: str | None, places: Iterable[Path]) -> tuple[str, ...]:
    """The prefix of a command that drops root for an OS user, with no group but its own.

    `places` are what the command must reach; for None the prefix is empty.

    Below a directory that user may not pass (a checkout in /root), the one capability to search
    directories is kept instead of opening the directory for everybody (capabilities(7)).
    """
    if os_user is None:
        return ()
    user = pwd.getpwnam(os_user)
    prefix = (
        "setpriv",
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        "--clear-groups",
        "--no-new-privs",
    )
    if all(_may_pass(place, user) for place in places):
        return (*prefix, "--")
    capability = "+dac_read_search"
    return (*prefix, f"--inh-caps={capability}", f"--ambient-caps={capability}", "--")


def _may_pass(place: Path, user: pwd.struct_passwd) -> bool:
    """Whether a user with no further groups may search every parent of a place."""
    for parent in place.resolve().parents:
        try:
            found = parent.stat()
        except FileNotFoundError:
            continue
        if found.st_uid == user.pw_uid:
            bit = stat.S_IXUSR
        elif found.st_gid == user.pw_gid:
            bit = stat.S_IXGRP
        else:
            bit = stat.S_IXOTH
        if not found.st_mode & bit:
            return False
    return True


def give_to(os_user: str | None, path: Path) -> None:
    """Make a file or directory the OS user's own; for None it stays ours."""
    if os_user is not None:
        user = pwd.getpwnam(os_user)
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
