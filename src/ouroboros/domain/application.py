"""Applications: what to build and run for a repository, from its `preview.toml` or by convention.

Nothing in the pipeline knows a framework; everything it does is a value in here. The file comes
from branch code, so it is read strictly: unknown keys, wrong types and paths that leave the
repository are refused, all of them reported together.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field

from ouroboros.domain.egress import problem_with
from ouroboros.domain.errors import BadInput
from ouroboros.domain.strict_table import StrictTable
from ouroboros.domain.web_rules import (
    HeaderRule,
    RedirectRule,
    read_header_rules,
    read_prefixes,
    read_redirect_rules,
)

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
_MOST_PAGES = 20
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
    proxy: tuple[str, ...] = ()
    """Path prefixes beside `/api` that the web surface hands to this server."""
    egress: tuple[str, ...] = ()
    """Networks that it must reach; a host gives it those alone, if the operator allows them."""


@dataclass(frozen=True, slots=True)
class SmokeCheck:
    """What must be answered as said before the publish is called ready: a request, or a page.

    A page is visited by a real browser: `contains` is text that must be seen on it, and neither
    its console nor its requests may show an error.
    """

    path: str
    status: int = 200
    contains: str = ""
    method: str = "GET"
    kind: str = "http"
    """`http` or `page`."""


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
    redirects: tuple[RedirectRule, ...] = ()
    headers: tuple[HeaderRule, ...] = ()


def parse_application(text: str) -> Application:
    """Read a `preview.toml`; raises `invalid_preview_toml` with every problem, each by its key."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _invalid({FILE_NAME: str(error)}) from error
    problems: dict[str, str] = {}
    application = read_application(StrictTable(document, "", problems))
    if problems:
        raise _invalid(problems)
    return application


def read_application(root: StrictTable) -> Application:
    """Read the whole file; what is wrong with it is noted by the table."""
    frontend = root.table("frontend")
    backend = root.table("backend")
    database = root.table("database")
    application = Application(
        _frontend(frontend) if frontend else None,
        _backend(backend) if backend else None,
        _argv(database, "migrate") if database else (),
        _migrate_dir(database, backend),
        database.paths("migrations") if database else (),
        _smoke_checks(root),
        redirects=read_redirect_rules(root),
        headers=read_header_rules(root),
    )
    for table in (root, frontend, backend, database):
        if table is not None:
            table.finish()
    if application.frontend is None and application.backend is None:
        root.problem(FILE_NAME, "needs a [frontend] or a [backend]")
    return application


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replace `{name}` placeholders; every name was checked when the file was read."""
    return _PLACEHOLDER.sub(lambda match: values.get(match.group(1), match.group(0)), text)


def _frontend(table: StrictTable) -> Frontend:
    return Frontend(
        dir=table.path("dir", "."),
        install=_argv(table, "install"),
        build=_argv(table, "build"),
        output=table.path("output", "dist"),
        lock_file=table.path("lock_file", "package-lock.json"),
        spa=table.flag("spa", default=True),
    )


def _backend(table: StrictTable) -> Backend:
    listen = table.text("listen", "port")
    if listen not in ("socket", "port"):
        table.problem("listen", "is neither 'socket' nor 'port'")
    start = _argv(table, "start")
    if not start:
        table.problem("start", "is missing")
    health = table.text("health", "/health")
    if not health.startswith("/"):
        table.problem("health", "does not begin with /")
    return Backend(
        start,
        table.path("dir", "."),
        _argv(table, "install"),
        listen,
        health,
        _env(table, "env"),
        read_prefixes(table),
        _egress(table, listen),
    )


def _egress(table: StrictTable, listen: str) -> tuple[str, ...]:
    asked = table.strings("egress")
    for each in asked:
        if (problem := problem_with(each)) is not None:
            table.problem("egress", problem)
    if asked and listen != "socket":
        table.problem("egress", "needs listen = 'socket': a port is bound in a network of its own")
    return asked


def _migrate_dir(database: StrictTable | None, backend: StrictTable | None) -> str:
    default = backend.path("dir", ".") if backend else "."
    return database.path("dir", default) if database else default


def _smoke_checks(root: StrictTable) -> tuple[SmokeCheck, ...]:
    checks = tuple(_smoke(table) for table in root.tables("smoke"))
    if sum(check.kind == "page" for check in checks) > _MOST_PAGES:
        root.problem("smoke", f"has more than {_MOST_PAGES} of kind 'page'")
    return checks


def _smoke(table: StrictTable) -> SmokeCheck:
    check = SmokeCheck(
        table.text("path", ""),
        table.number("status", 200),
        table.text("contains", ""),
        table.text("method", "GET"),
        table.text("kind", "http"),
    )
    if not check.path.startswith("/"):
        table.problem("path", "does not begin with /")
    if check.kind not in ("http", "page"):
        table.problem("kind", "is neither 'http' nor 'page'")
    if check.kind == "page" and table.has("method"):
        table.problem("method", "is not for a page: a browser visits it with GET")
    table.finish()
    return check


def _invalid(problems: Mapping[str, str]) -> BadInput:
    listed = "; ".join(f"{key}: {problem}" for key, problem in problems.items())
    return BadInput(
        "invalid_preview_toml", listed, "docs/preview-toml.md", {"problems": dict(problems)}
    )


def _argv(table: StrictTable, key: str) -> tuple[str, ...]:
    items = table.strings(key)
    for item in items:
        _check_placeholders(table, key, item)
    return items


def _env(table: StrictTable, key: str) -> dict[str, str]:
    values = table.take(key, dict, {})
    result = {}
    for name, value in values.items():
        if not _ENV_NAME.fullmatch(name) or not isinstance(value, str) or "\0" in value:
            table.problem(f"{key}.{name}", "is not a name with a string")
        elif _RESERVED_ENV.fullmatch(name):
            table.problem(f"{key}.{name}", "is set by the preview and cannot be changed")
        else:
            _check_placeholders(table, f"{key}.{name}", value)
            result[name] = value
    return result


def _check_placeholders(table: StrictTable, key: str, text: str) -> None:
    for name in _PLACEHOLDER.findall(text):
        if name not in PLACEHOLDERS:
            table.problem(key, f"{{{name}}} is not a placeholder")
