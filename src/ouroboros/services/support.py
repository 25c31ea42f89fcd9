"""The support bundle: what somebody else needs to see of an installation that is in trouble.

Each part is read by itself, and one that cannot be read says so in its place: a bundle is made
when things do not work. Every text passes one mask on its way into the archive, so no part can be
added that is not masked.
"""

import io
import json
import os
import platform
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

from ouroboros import __version__
from ouroboros.adapters.host.versions import version_of_program
from ouroboros.adapters.known_secrets import BundleMask
from ouroboros.adapters.publish_log import PUBLISH_LOG
from ouroboros.adapters.systemd import journal
from ouroboros.domain.errors import Failed, PreviewError, Refused
from ouroboros.domain.terminal_text import TerminalText, without_colours
from ouroboros.settings import Settings

_TAIL_BYTES = 128 * 1024
_PUBLISHES = 12
_PROGRAMS = ("caddy", "git", "node", "npm", "psql", "systemctl", "uv")
_ASKED = {
    "slots.json": "/api/slots",
    "doctor.json": "/api/doctor",
    "events.json": "/api/events?limit=500",
    "publishes.json": "/api/publishes?limit=50",
    "resets.json": "/api/resets?limit=100",
    "databases.json": "/api/databases/pool",
    "sources.json": "/api/databases/sources",
    "tokens.json": "/api/tokens",
    "audit.json": "/api/audit?limit=200",
}
Part = tuple[str, Callable[[], str]]


@dataclass(slots=True)
class SupportBundle:
    """One bundle. `ask` asks the API for a path; `look` tells how the processes are."""

    settings: Settings
    mask: BundleMask
    ask: Callable[[str], Any]
    look: Callable[[], Any]
    unread: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> dict[str, Any]:
        """Write the bundle, readable by its owner alone; never over a file that is there.

        Raises `file_exists`, `bundle_not_written`.
        """
        try:
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(number, "wb") as file:
                names = self._fill(file)
                size = file.tell()
        except FileExistsError as error:
            raise Refused("file_exists", f"{path} exists", "name another file") from error
        except OSError as error:
            raise Failed("bundle_not_written", f"{path}: {error.strerror}", "df -h") from error
        return {"path": str(path), "bytes": size, "parts": names, "unread": self.unread}

    def _fill(self, file: Any) -> list[str]:
        names = []
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, read in self._parts():
                _add(archive, name, self.mask.mask(self._text(name, read)))
                names.append(name)
        return names

    def _text(self, name: str, read: Callable[[], str]) -> str:
        try:
            return read()
        except PreviewError as error:
            # The doctor's findings come as the details of an error.
            if "findings" not in error.details:
                self.unread[name] = error.code
            return _json(error.document())
        except (OSError, ValueError) as error:
            self.unread[name] = type(error).__name__
            return f"not read: {error}\n"

    def _parts(self) -> Iterator[Part]:
        yield "versions.json", lambda: _json(_versions())
        yield "settings.json", lambda: _json(self._settings())
        yield "processes.json", lambda: _json(self.look())
        for name, asked in _ASKED.items():
            yield name, partial(self._asked, asked)
        if self.settings.systemd:
            yield "units.txt", journal.unit_states
            for unit in journal.installed_units():
                yield f"journal/{unit}.txt", partial(journal.journal_tail, unit)
        for log in _files(self.settings.log_dir):
            yield f"logs/{log.name}", partial(_tail, log)
        for publish in _newest(self.settings.state_dir / "artifacts"):
            yield f"publishes/{publish.name}.log", partial(_tail, publish / PUBLISH_LOG)

    def _asked(self, path: str) -> str:
        return _json(self.ask(path))

    def _settings(self) -> dict[str, Any]:
        return {each.name: getattr(self.settings, each.name) for each in fields(self.settings)}


def _versions() -> dict[str, Any]:
    programs = {
        name: ".".join(map(str, found)) if (found := version_of_program(name)) else None
        for name in _PROGRAMS
        if name != "caddy"
    }
    caddy = version_of_program("caddy", "version")
    facts = os.statvfs("/")
    return {
        "ouroboros": __version__,
        "python": sys.version,
        "kernel": platform.platform(),
        "system": _release(),
        "processors": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "disk_free_bytes": facts.f_bavail * facts.f_frsize,
        "load": os.getloadavg(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "programs": programs | {"caddy": ".".join(map(str, caddy)) if caddy else None},
    }


def _release() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "unknown"


def _files(directory: Path) -> list[Path]:
    """Logs; visitors' addresses in access logs are nobody else's business."""
    try:
        found = [path for path in sorted(directory.iterdir()) if path.is_file()]
    except OSError:
        return []
    return [path for path in found if not path.name.startswith("access-")]


def _newest(artifacts: Path) -> list[Path]:
    try:
        found = [path for path in artifacts.iterdir() if (path / PUBLISH_LOG).is_file()]
    except OSError:
        return []
    return sorted(found, key=lambda path: path.stat().st_mtime)[-_PUBLISHES:]


def _tail(path: Path) -> str:
    """The last whole lines of a log. A cut could leave the second half of a secret."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        data = file.read()
    if size > _TAIL_BYTES:
        data = data.partition(b"\n")[2]
    return without_colours(TerminalText().feed(data, last=True))


def _add(archive: tarfile.TarFile, name: str, text: str) -> None:
    data = text.encode("utf-8", "replace")
    entry = tarfile.TarInfo(f"ouroboros-support/{name}")
    entry.size, entry.mode, entry.mtime = len(data), 0o600, int(time.time())
    archive.addfile(entry, io.BytesIO(data))


def _json(document: Any) -> str:
    return json.dumps(document, indent=1, default=str) + "\n"
