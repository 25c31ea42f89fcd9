"""The browser: starts the process that visits pages, and reads what it has seen.

Chromium is the system's and its driver an extra, so either may be missing; whoever wants a page
looked at is told which, and how to get it. On a host nothing of this is started: the units there
forbid what a browser is made of (writable code, namespaces), and a browser without its sandbox
must not open the page of a branch beside the control plane's secrets.
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ouroboros.adapters.release_files import remove_tree
from ouroboros.domain.command import Command, Finished
from ouroboros.domain.errors import Failed, PreviewError, Refused, TimedOut, Unhealthy
from ouroboros.domain.page_visit import PageSeen, Visit, read_seen
from ouroboros.ports import CommandRunner

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_PATH = "/usr/local/bin:/usr/bin:/bin:/snap/bin"
_START_S, _PAGE_S = 30.0, 45.0
_YIELDS_BY = 10
_OUTPUT_LIMIT_BYTES = 1 << 20
_LONGEST_DIRECTORY = 50
"""Chromium makes unix sockets below TMPDIR, whose paths have room for 107 bytes (unix(7))."""
_FORGOTTEN_AFTER_S = 3600.0
_MODULES = {"playwright": "playwright", "PIL": "pillow"}


@dataclass(frozen=True, slots=True)
class PageBrowser:
    """Visits pages with the system's Chromium; `visits` is the directory it works in."""

    runner: CommandRunner
    visits: Path
    chromium: Path | None
    """The one that was configured; None looks for one."""
    on_host: bool

    def require(self) -> Path:
        """The Chromium that would be used.

        Raises `browser_not_on_hosts`, `browser_not_installed`, `chromium_not_found`.
        """
        if self.on_host:
            raise Refused(
                "browser_not_on_hosts",
                "no browser is run on a host with systemd units",
                "check this page in local mode, or by a [[smoke]] of kind 'http'",
            )
        missing = [name for module, name in _MODULES.items() if find_spec(module) is None]
        if missing:
            raise _not_installed(f"{' and '.join(missing)} cannot be imported")
        if self.chromium is not None:
            found = shutil.which(self.chromium)
        else:
            found = next(filter(None, (shutil.which(name, path=_PATH) for name in _NAMES)), None)
        if found is None:
            wanted = str(self.chromium or f"{_NAMES[0]} in {_PATH}")
            raise Unhealthy(
                "chromium_not_found",
                f"there is no {wanted}",
                "apt-get install chromium, or set OUROBOROS_CHROMIUM",
            )
        return Path(found)

    def visit(self, visit: Visit, cancelled: Callable[[], bool] | None = None) -> list[PageSeen]:
        """Look at the pages of a visit, one after the other.

        Raises what `require` raises, `browser_failed`, `browser_timed_out`, `visit_cancelled`.
        """
        chromium = self.require()
        limit_s = _START_S + _PAGE_S * len(visit.pages)
        with self._directory() as directory:
            command = Command(
                (sys.executable, "-I", "-m", "ouroboros.entrypoints.visit"),
                directory,
                {
                    "PATH": _PATH, "LANG": "C.UTF-8", "TZ": "UTC",
                    "HOME": str(directory), "TMPDIR": str(directory),
                },
                limit_s,
                _OUTPUT_LIMIT_BYTES,
                json.dumps(_job(visit, chromium, directory)).encode(),
                yields_by=_YIELDS_BY,
            )  # fmt: skip
            finished = self.runner.run(command, cancelled=cancelled)
            if not finished.succeeded:
                raise _failure(finished, limit_s)
            return _read(directory)

    @contextmanager
    def _directory(self) -> Iterator[Path]:
        """A new directory for one visit, which goes with it; old ones of the killed go, too."""
        self.visits.mkdir(parents=True, exist_ok=True)
        for old in self.visits.iterdir():
            with suppress(FileNotFoundError):
                if time.time() - old.stat().st_mtime > _FORGOTTEN_AFTER_S:
                    remove_tree(old)
        above = self.visits if len(str(self.visits)) <= _LONGEST_DIRECTORY else None
        with tempfile.TemporaryDirectory(prefix="v", dir=above, ignore_cleanup_errors=True) as made:
            yield Path(made)


def _job(visit: Visit, chromium: Path, directory: Path) -> dict[str, Any]:
    return {
        "chromium": str(chromium),
        "directory": str(directory),
        "slot_id": visit.slot.id,
        "host_name": visit.slot.host_name,
        "release": str(visit.release),
        "api_port": visit.api_port,
        "pages": [
            {
                "path": page.path,
                "contains": page.contains,
                "whole": page.whole,
                "text_limit_s": page.text_limit_s,
            }
            for page in visit.pages
        ],
    }


def _read(directory: Path) -> list[PageSeen]:
    found = json.loads((directory / "seen.json").read_text(encoding="utf-8"))
    return [
        read_seen(
            seen,
            _bytes_of(directory / f"{number}.png"),
            _bytes_of(directory / f"{number}.small.png"),
        )
        for number, seen in enumerate(found, start=1)
    ]


def _bytes_of(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _failure(finished: Finished, limit_s: float) -> PreviewError:
    if finished.cancelled:
        return Refused("visit_cancelled", "the browser was stopped: nobody waits for it any more")
    if finished.timed_out:
        return TimedOut("browser_timed_out", f"the browser was not done within {limit_s:.0f} s")
    lines = finished.output.strip().splitlines()
    try:
        told = json.loads(lines[-1])
        code, message = str(told["error"]), str(told["message"])
    except (IndexError, ValueError, KeyError, TypeError):
        code, message = "browser_failed", "\n".join(lines[-5:])
    if code == "browser_not_installed":
        return _not_installed(message)
    return Failed(
        "browser_failed",
        f"the browser did not work: {message or finished.exit_status}",
        "run chromium --headless --dump-dom about:blank by hand",
    )


def _not_installed(why: str) -> PreviewError:
    return Unhealthy(
        "browser_not_installed",
        f"the browser's driver is not installed: {why}",
        "pip install '.[browser]' in a checkout of Ouroboros",
    )
