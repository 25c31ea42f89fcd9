"""A machine with a real systemd inside this one, for the tests of the host form.

It has processes, mounts, a network and cgroups of its own over an overlay of this machine's root:
what is installed, started or broken inside is gone when it is ended. No container runtime is
involved, only unshare(1) and mount(8).
"""

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BOOT = Path(__file__).with_name("boot.sh")
CHECKOUT = Path(__file__).resolve().parents[2]
UV_CACHE = os.environ.get("UV_CACHE_DIR") or str(
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv"
)
SEEN = (CHECKOUT, Path(UV_CACHE))
"""What must be there inside too, though a machine has a /tmp of its own."""
_CGROUPS = Path("/sys/fs/cgroup")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MEMORY_MIB = 3072
_BOOT_LIMIT_S = 60.0


@functools.cache
def reason_against() -> str | None:
    """Why no machine can be booted here, or None when one can."""
    if os.geteuid() != 0:
        return "booting a systemd in namespaces needs root"
    for program in ("unshare", "nsenter", "pivot_root", "systemctl"):
        if shutil.which(program) is None:
            return f"there is no {program}"
    if not Path("/lib/systemd/systemd").exists():
        return "systemd is not installed"
    if not os.access(_CGROUPS, os.W_OK):
        return f"{_CGROUPS} cannot be written"
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--net", "--cgroup", "--fork", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return tried.stderr.strip() or "namespaces are forbidden" if tried.returncode else None


@dataclass(frozen=True)
class Machine:
    """A booted machine. `pid` is its systemd's, seen from outside."""

    directory: Path
    name: str
    pid: int
    outer: subprocess.Popen[bytes]

    def run(
        self,
        *argv: str,
        check: bool = True,
        limit_s: float = 120.0,
        stdin: str = "",
        **environ: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root, and return how it ended; with `check` it must succeed."""
        done = subprocess.run(
            self.argv(*argv, **environ),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
        shown = f"{argv} ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        assert not check or done.returncode == 0, shown
        return done

    def argv(self, *argv: str, **environ: str) -> list[str]:
        """The command that runs another one inside."""
        enter = ["nsenter", f"--target={self.pid}", "--all", "--", "env", "-i", "--chdir=/"]
        values = {"PATH": _PATH, "HOME": "/root", "LANG": "C.UTF-8", "UV_CACHE_DIR": UV_CACHE}
        values |= environ
        return [*enter, *(f"{key}={value}" for key, value in values.items()), *argv]

    def json(self, *argv: str, check: bool = True, **environ: str) -> Any:
        """Run a command inside and read the JSON document that it prints."""
        return json.loads(self.run(*argv, check=check, **environ).stdout)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file inside."""
        target = self.inside(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        target.chmod(mode)

    def inside(self, path: str) -> Path:
        """A file of the machine as a path of ours; links in it must not be absolute."""
        return Path(f"/proc/{self.pid}/root") / path.lstrip("/")

    def properties(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit (systemctl show)."""
        shown = self.run("systemctl", "show", unit, f"--property={','.join(names)}").stdout
        return dict(line.split("=", 1) for line in shown.splitlines())


def wait_until(claim: Callable[[], object], limit_s: float = 60.0, every_s: float = 0.1) -> None:
    """Wait until a claim holds; fails with its last value."""
    deadline = time.monotonic() + limit_s
    while not (last := claim()):
        assert time.monotonic() < deadline, f"{claim} still says {last!r} after {limit_s} s"
        time.sleep(every_s)


@contextlib.contextmanager
def booted_machine() -> Iterator[Machine]:
    """Boot a machine; when the block ends, nothing of it is left."""
    directory = Path(tempfile.mkdtemp(prefix="ouro-box-", dir="/var/tmp"))
    name = f"ouroboros-box-{uuid.uuid4().hex[:12]}"
    console = (directory.parent / f"{directory.name}.console").open("wb+")
    outer = subprocess.Popen(
        [BOOT, str(directory), name, str(_MEMORY_MIB), *map(str, SEEN)],
        stdin=subprocess.DEVNULL,
        stdout=console,
        stderr=console,
        start_new_session=True,
    )
    machine = None
    try:
        machine = Machine(directory, name, _first_child(outer), outer)
        _wait_until_up(machine, console.name)
        yield machine
    finally:
        _end(machine, outer)
        _remove_cgroups(name)
        console.close()
        Path(console.name).unlink()
        shutil.rmtree(directory)


def _first_child(outer: subprocess.Popen[bytes]) -> int:
    """The PID 1 of the namespaces: the child of unshare(1), which boot.sh becomes first."""
    process = Path(f"/proc/{outer.pid}")
    children = process / "task" / str(outer.pid) / "children"
    deadline = time.monotonic() + _BOOT_LIMIT_S
    while time.monotonic() < deadline and outer.poll() is None:
        with contextlib.suppress(OSError):
            is_unshare = (process / "comm").read_text() == "unshare\n"
            if is_unshare and (pids := children.read_text().split()):
                return int(pids[0])
        time.sleep(0.01)
    raise AssertionError("the machine's namespaces were not made")


def _wait_until_up(machine: Machine, console: str) -> None:
    deadline = time.monotonic() + _BOOT_LIMIT_S
    while time.monotonic() < deadline and machine.outer.poll() is None:
        asked = machine.run("systemctl", "is-system-running", check=False)
        if asked.stdout.strip() in ("running", "degraded"):
            return
        time.sleep(0.05)
    raise AssertionError(f"systemd did not come up:\n{Path(console).read_text()[-4000:]}")


def _end(machine: Machine | None, outer: subprocess.Popen[bytes]) -> None:
    """End it in good order, or else by killing its PID 1, with which the kernel ends the rest."""
    if machine is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(machine.pid, signal.SIGRTMIN + 3)  # systemd(1): halt.target
            with contextlib.suppress(subprocess.TimeoutExpired):
                outer.wait(5)
    if outer.poll() is None:
        if machine is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(machine.pid, signal.SIGKILL)
        else:
            outer.kill()
    outer.wait(30)


def _remove_cgroups(name: str) -> None:
    """Remove the machine's groups; the kernel needs a moment until the last process is gone."""

    def left() -> list[Path]:
        return [*_CGROUPS.glob(f"*/{name}"), *_CGROUPS.glob(name)]

    deadline = time.monotonic() + 20
    while groups := left():
        for group in groups:
            for directory in sorted(group.rglob("*/"), reverse=True):
                with contextlib.suppress(OSError):
                    directory.rmdir()
            with contextlib.suppress(OSError):
                group.rmdir()
        assert time.monotonic() < deadline, f"cgroups are left: {left()}"
        time.sleep(0.02)
