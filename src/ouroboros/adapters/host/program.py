"""Installed versions of Ouroboros: a copy of a checkout with a virtual environment of its own.

A version is named by what it consists of, so installing the same one again changes nothing, and
one that was installed half is known by its missing mark and finished.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ouroboros import __version__
from ouroboros.domain.errors import Failed
from ouroboros.plans.host import PROGRAMS, ROOT

PYTHON = "/usr/bin/python3"
_PARTS = ("src", "scripts", "infra", "pyproject.toml", "uv.lock", "README.md", "LICENSE")
_MARK = ".installed"
_LAUNCHER = """#!{python}
import sys
from ouroboros.entrypoints.cli.main import main
sys.exit(main())
"""


def version_of(home: Path) -> str:
    """The name of the version that a checkout is."""
    digest = hashlib.sha256()
    for path in _files(home):
        name = str(path.relative_to(home)).encode()
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        digest.update(len(name).to_bytes(4, "big") + name)
        digest.update(len(content).to_bytes(8, "big") + content)
    return f"ouroboros-{__version__}-{digest.hexdigest()[:12]}"


def program_of(home: Path) -> Path:
    """The directory that a checkout's version is installed in; an installed one is its own."""
    home = home.resolve()
    return home if home.parent == PROGRAMS else PROGRAMS / version_of(home)


def is_installed(program: Path) -> bool:
    """Whether a version is there as a whole."""
    return (program / _MARK).exists()


def install(home: Path, program: Path) -> None:
    """Copy the checkout and make its environment; raises `program_not_installed`."""
    if is_installed(program):
        return
    shutil.rmtree(program, ignore_errors=True)
    program.mkdir(parents=True)
    for part in _PARTS:
        source = home / part
        if source.is_dir():
            shutil.copytree(
                source, program / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
            )
        elif source.exists():
            shutil.copyfile(source, program / part)
    _make_environment(home, program)
    # A web root's `live` leads through here to the releases of its slot.
    (program / ".ouroboros").symlink_to(ROOT)
    _open_for_reading(program)
    (program / _MARK).touch()


def _make_environment(home: Path, program: Path) -> None:
    uv = shutil.which("uv", path=str(home / ".venv" / "bin")) or shutil.which("uv")
    if uv is None:
        raise Failed("program_not_installed", "there is no uv", "make setup, in the checkout")
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
    env |= {"UV_PYTHON_DOWNLOADS": "never", "UV_PROJECT_ENVIRONMENT": str(program / ".venv")}
    sync = ("sync", "--frozen", "--no-dev", "--no-install-project", "--compile-bytecode",
            "--extra", "oidc")  # fmt: skip
    for arguments in (("venv", "--python", PYTHON, str(program / ".venv")), sync):
        done = subprocess.run(
            (uv, *arguments), cwd=program, env=env, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise Failed(
                "program_not_installed",
                f"uv {arguments[0]}: {done.stderr.strip()[-500:]}",
                "run it again when the package index can be reached",
            )
    environment = program / ".venv"
    packages = next((environment / "lib").glob("python3*/site-packages"))
    (packages / "ouroboros.pth").write_text(f"{program / 'src'}\n", encoding="utf-8")
    launcher = environment / "bin" / "ouroboros"
    launcher.write_text(_LAUNCHER.format(python=environment / "bin" / "python"), encoding="utf-8")
    launcher.chmod(0o755)
    compiling = (PYTHON, "-m", "compileall", "-q", str(program / "src"))
    subprocess.run(compiling, env=env, capture_output=True, check=False)


def _open_for_reading(program: Path) -> None:
    """Everybody may read and nobody but root may write, whatever the checkout's modes were."""
    program.chmod(0o755)
    for path in program.rglob("*"):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)


def _files(home: Path) -> Iterator[Path]:
    for part in _PARTS:
        top = home / part
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if "__pycache__" not in path.parts and (path.is_symlink() or path.is_file()):
                yield path
