"""Versions of the programs that a host is made of, as they tell them themselves."""

import re
import shutil
import subprocess

_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/"}
_TIME_LIMIT_S = 10.0


def version_of_program(name: str, argument: str = "--version") -> tuple[int, ...] | None:
    """The version that a program on the system's path prints; None when there is none to see."""
    path = shutil.which(name, path=_ENV["PATH"])
    if path is None:
        return None
    try:
        done = subprocess.run(
            (path, argument),
            env=_ENV,
            capture_output=True,
            text=True,
            timeout=_TIME_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return read_version(done.stdout) if done.returncode == 0 else None


def read_version(text: str) -> tuple[int, ...] | None:
    """The first version number in a text, as numbers."""
    found = _VERSION.search(text)
    return None if found is None else tuple(int(part or 0) for part in found.groups())
