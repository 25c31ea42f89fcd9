"""The example inside a machine, which has no network: what its builds fetch is there already."""

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.box.host import HOME, Host

REFS = ("main", "codex/run-demo-page", "codex/run-demo-reservations")
"""A branch for each of three slots."""
_REPOSITORY = "/srv/repositories/toolshed"


def bring_example(host: Host) -> str:
    """Make the repository, and fill the caches of the slots' npm and uv; returns its path."""
    host.machine.run("python3", str(HOME / "examples" / "make_repository.py"), _REPOSITORY)
    host.machine.run("chown", "-R", "ouroboros:", _REPOSITORY)
    with tempfile.TemporaryDirectory() as directory:
        fetched = Path(directory)
        _fetch(fetched)
        for number in range(1, len(REFS) + 1):
            cache = f"/srv/oroboros/cache/preview-{number}"
            for tool in ("npm", "uv"):
                shutil.copytree(
                    fetched / tool, host.machine.inside(f"{cache}/{tool}"),
                    symlinks=True, dirs_exist_ok=True,
                )  # fmt: skip
                user = f"ouroboros-preview{number}"
                host.machine.run("chown", "-R", f"{user}:{user}", f"{cache}/{tool}")
    return _REPOSITORY


def _fetch(into: Path) -> None:
    """Fetch what the lock files name, with the Python and Node that builds inside use."""
    example = HOME / "examples" / "toolshed"
    for part, names in (
        ("frontend", ("package*.json",)),
        ("backend", ("pyproject.toml", "uv.lock")),
    ):
        (into / part).mkdir()
        for name in names:
            for path in (example / part).glob(name):
                shutil.copy(path, into / part)
    run = functools.partial(subprocess.run, check=True, stdout=subprocess.DEVNULL)
    run(["npm", "ci", "--cache", into / "npm", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=into / "frontend")  # fmt: skip
    run(
        [HOME / ".venv" / "bin" / "uv", "sync", "--quiet", "--frozen", "--no-dev", "--python",
         "/usr/bin/python3"],
        cwd=into / "backend", env={**os.environ, "UV_CACHE_DIR": str(into / "uv")},
    )  # fmt: skip
