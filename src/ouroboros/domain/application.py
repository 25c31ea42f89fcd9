"""Applications: what to build and run for a repository, from its `preview.toml` or by convention.

Nothing in the pipeline knows a framework; everything it does is a value in here. The file comes
from branch code, so it is read strictly: unknown keys, wrong types and paths that leave the
repository are refused, all of them reported together.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from ouroboros.domain.errors import BadInput

FILE_NAME = "preview.toml"
PLACEHOLDERS = (
    "port",
    "database.url",
    "slot.id",
    "slot.number",
    "preview.url",
    "run.id",
    "commit",
    "launcher.asgi",
)
_PLACEHOLDER = re.compile(r"\{([a-z.]+)\}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED_ENV = re.compile(r"SLOT_.*|RUN_ID|COMMIT_SHA|PREVIEW_.*|LISTEN_.*|PATH|HOME|LD_.*")


@dataclass(frozen=True, slots=True)
class Frontend:
    """How to make the static files. Empty argv: nothing to run. Paths are relative."""

    dir: str = "."
    install: tuple[str, ...] = ()
    build: tuple[str, ...] = ()
    output: str = "dist"
    lock_file: str | None = None
    spa: bool = True


@dataclass(frozen=True, slots=True)
class Backend:
    """How to run the server. `listen`: `socket` (inherited listener) or `port` (binds {port})."""

    start: tuple[str, ...]
    dir: str = "."
    install: tuple[str, ...] = ()
    listen: str = "port"
    health: str = "/health"
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SmokeCheck:
    """One request that must be answered as said, before the publish is called ready."""

    path: str
    status: int = 200
    contains: str = ""
    method: str = "GET"


@dataclass(frozen=True, slots=True)
class Application:
    """All that a publish does for one repository."""

    frontend: Frontend | None
    backend: Backend | None
    migrate: tuple[str, ...] = ()
    migrate_dir: str = "."
    migrations: tuple[str, ...] = ()
    """Files and directories that migrations are made of; with none given, the whole commit."""
    smoke: tuple[SmokeCheck, ...] = ()
    heartbeat_smoke: bool = False
    """Whether the smoke check is the contract's heartbeat and readback on the slot's backend."""


def parse_application(text: str) -> Application:
    """Read a `preview.toml`; raises `invalid_preview_toml` with every problem, each by its key."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _invalid({FILE_NAME: str(error)}) from error
    problems: dict[str, str] = {}
    root = _Table(document, "", problems)
    frontend = root.table("frontend")
    backend = root.table("backend")
    database = root.table("database")
    application = Application(
        _frontend(frontend) if frontend else None,
        _backend(backend) if backend else None,
        database.argv("migrate") if database else (),
        _migrate_dir(database, backend),
        database.paths("migrations") if database else (),
        tuple(_smoke(table) for table in root.tables("smoke")),
    )
    for table in (root, frontend, backend, database):
        if table is not None:
            table.finish()
    if application.frontend is None and application.backend is None:
        problems.setdefault(FILE_NAME, "needs a [frontend] or a [backend]")
    if problems:
        raise _invalid(problems)
    return application


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replace `{name}` placeholders; every name was checked when the file was read."""
    return _PLACEHOLDER.sub(lambda match: values.get(match.group(1), match.group(0)), text)


def _frontend(table: "_Table") -> Frontend:
    return Frontend(
        dir=table.path("dir", "."),
        install=table.argv("install"),
        build=table.argv("build"),
        output=table.path("output", "dist"),
        lock_file=table.path("lock_file", "package-lock.json"),
        spa=table.flag("spa", default=True),
    )


def _backend(table: "_Table") -> Backend:
    listen = table.text("listen", "port")
    if listen not in ("socket", "port"):
        table.problem("listen", "is neither 'socket' nor 'port'")
    start = table.argv("start")
    if not start:
        table.problem("start", "is missing")
    health = table.text("health", "/health")
    if not health.startswith("/"):
        table.problem("health", "does not begin with /")
    return Backend(
        start, table.path("dir", "."), table.argv("install"), listen, health, table.env("env")
    )


def _migrate_dir(database: "_Table | None", backend: "_Table | None") -> str:
    default = backend.path("dir", ".") if backend else "."
    return database.path("dir", default) if database else default


def _smoke(table: "_Table") -> SmokeCheck:
    check = SmokeCheck(
        table.text("path", ""),
        table.number("status", 200),
        table.text("contains", ""),
        table.text("method", "GET"),
    )
    if not check.path.startswith("/"):
        table.problem("path", "does not begin with /")
    table.finish()
    return check


def _invalid(problems: Mapping[str, str]) -> BadInput:
    listed = "; ".join(f"{key}: {problem}" for key, problem in problems.items())
    return BadInput(
        "invalid_preview_toml", listed, "docs/preview-toml.md", {"problems": dict(problems)}
    )


def _is_inside(text: str) -> bool:
    parts = PurePosixPath(text)
    return bool(text) and not parts.is_absolute() and ".." not in parts.parts and "\0" not in text


class _Table:
    """One TOML table: takes keys by type, and complains about those nobody took."""

    def __init__(self, data: Mapping[str, Any], name: str, problems: dict[str, str]) -> None:
        self._data = data
        self._name = name
        self._problems = problems
        self._taken: set[str] = set()

    def problem(self, key: str, text: str) -> None:
        self._problems[f"{self._name}.{key}" if self._name else key] = text

    def table(self, key: str) -> "_Table | None":
        value = self._take(key, dict, None)
        return None if value is None else _Table(value, key, self._problems)

    def tables(self, key: str) -> list["_Table"]:
        items = self._take(key, list, [])
        return [
            _Table(item, f"{key}[{at}]", self._problems)
            for at, item in enumerate(items)
            if self._is_table(f"{key}[{at}]", item)
        ]

    def text(self, key: str, default: str) -> str:
        return str(self._take(key, str, default))

    def number(self, key: str, default: int) -> int:
        return int(self._take(key, int, default))

    def flag(self, key: str, *, default: bool) -> bool:
        return bool(self._take(key, bool, default))

    def path(self, key: str, default: str) -> str:
        text = self.text(key, default)
        if not _is_inside(text):
            self.problem(key, "is not a path inside the repository")
        return text

    def paths(self, key: str) -> tuple[str, ...]:
        items = self._take(key, list, [])
        if not all(isinstance(item, str) and _is_inside(item) for item in items):
            self.problem(key, "is not a list of paths inside the repository")
            return ()
        return tuple(items)

    def argv(self, key: str) -> tuple[str, ...]:
        items = self._take(key, list, [])
        if not all(isinstance(item, str) and "\0" not in item for item in items):
            self.problem(key, "is not a list of strings")
            return ()
        for item in items:
            self._check_placeholders(key, item)
        return tuple(items)

    def env(self, key: str) -> dict[str, str]:
        values = self._take(key, dict, {})
        result = {}
        for name, value in values.items():
            if not _ENV_NAME.fullmatch(name) or not isinstance(value, str) or "\0" in value:
                self.problem(f"{key}.{name}", "is not a name with a string")
            elif _RESERVED_ENV.fullmatch(name):
                self.problem(f"{key}.{name}", "is set by the preview and cannot be changed")
            else:
                self._check_placeholders(f"{key}.{name}", value)
                result[name] = value
        return result

    def finish(self) -> None:
        for key in self._data.keys() - self._taken:
            self.problem(key, "is not a known key")

    def _is_table(self, key: str, item: object) -> bool:
        if not isinstance(item, dict):
            self.problem(key, "is not a table")
        return isinstance(item, dict)

    def _take(self, key: str, kind: type, default: Any) -> Any:
        self._taken.add(key)
        if key not in self._data:
            return default
        value = self._data[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.problem(key, f"is not of type {kind.__name__}")
            return default
        return value

    def _check_placeholders(self, key: str, text: str) -> None:
        for name in _PLACEHOLDER.findall(text):
            if name not in PLACEHOLDERS:
                self.problem(key, f"{{{name}}} is not a placeholder")
