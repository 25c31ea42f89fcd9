"""What is supervised: PostgreSQL, the web surfaces, the API and the worker, as plain values.

The one place where they are listed. Nothing here runs; the order of the stages is the order of
the start, and the reverse of it the order of the stop.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT, SIGTERM

from ouroboros.domain import failpoint
from ouroboros.domain.slot import Slot
from ouroboros.settings import Settings

POSTGRES = "postgres"

_PATH_SETTINGS = (
    "OUROBOROS_PG_BIN",
    "OUROBOROS_SEEDS_DIR",
    "OUROBOROS_SNAPSHOTS_DIR",
    "OUROBOROS_CHROMIUM",
    "OUROBOROS_GIT_HOSTS",
    "OUROBOROS_OIDC_SECRET_FILE",
)
# What would redirect a client library, an interpreter or a listener behind our back.
_STRIPPED_PREFIXES = ("PG", "LISTEN_", "NOTIFY_", "PREVIEW_", "WEB_", "SLOT_", "UVICORN_")
_STRIPPED = ("DATABASE_URL", "PORT", "HOST", "OUROBOROS_TOKEN")
_KEPT = ("SLOT_IDS_CSV", failpoint.ENVIRONMENT_KEY, failpoint.FILE_KEY)


@dataclass(frozen=True, slots=True)
class HttpReady:
    """Ready when `GET path` on 127.0.0.1:`port` is answered with 200."""

    port: int
    path: str = "/health"


@dataclass(frozen=True, slots=True)
class CommandReady:
    """Ready when this command has ended with status 0; it waits and prepares by itself."""

    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LockHeld:
    """Ready when somebody holds the flock of this file."""

    path: Path


@dataclass(frozen=True, slots=True)
class Service:
    """One process that must run for as long as the instance is up."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    log_path: Path
    ready: HttpReady | CommandReady | LockHeld
    stage: int
    ports: tuple[int, ...] = ()
    stop_signal: int = SIGTERM
    grace_s: float = 10.0
    ready_limit_s: float = 60.0
    on_all_processors: bool = False
    """What does not serve visitors leaves some processors to what does."""
    short_slices: bool = False
    """What visitors wait for goes first when it wakes."""


def plan_services(settings: Settings, environ: Mapping[str, str]) -> tuple[Service, ...]:
    """Everything that `ouroboros up` starts, except the slots' backends."""
    env = control_environment(settings, environ)
    database = (sys.executable, "-m", "ouroboros.entrypoints.supervisor.database")
    logs = settings.log_dir
    home = settings.home
    prepare = (*database, "prepare")
    postgres = Service(
        POSTGRES,
        (*database, "serve"),
        env,
        home,
        logs / "postgres.log",
        CommandReady(prepare),
        stage=0,
        stop_signal=SIGINT,  # fast shutdown; PostgreSQL manual 19.5
        grace_s=20.0,
        ready_limit_s=120.0,
        short_slices=True,  # its sessions of slots are let onto all processors, too (`house`)
    )
    api = Service(
        "api",
        (sys.executable, "-m", "ouroboros.entrypoints.http"),
        env,
        home,
        logs / "api.log",
        HttpReady(settings.api_port),
        stage=1,
        ports=(settings.api_port,),
    )
    worker = Service(
        "worker",
        (sys.executable, "-m", "ouroboros.entrypoints.worker"),
        env,
        home,
        logs / "worker.log",
        LockHeld(settings.run_dir / "worker.lock"),
        stage=1,
    )
    surfaces = [_surface(settings, env, slot) for slot in settings.pool]
    return (*((postgres,) if settings.local else ()), *surfaces, api, worker)


def web_root(settings: Settings, slot: Slot) -> Path:
    """The root of a slot's surface: the checkout's own, or one under another state directory."""
    own = settings.state_dir.resolve() == (settings.home / ".ouroboros").resolve()
    return (settings.home if own else settings.state_dir) / slot.web_root


def control_environment(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of our own processes: the caller's, with every path made absolute."""
    env = {
        key: value
        for key, value in environ.items()
        if key not in _STRIPPED and (key in _KEPT or not key.startswith(_STRIPPED_PREFIXES))
    }
    for key in _PATH_SETTINGS:
        if env.get(key):
            env[key] = str(Path(env[key]).expanduser().absolute())
    env["OUROBOROS_HOME"] = str(settings.home)
    env["OUROBOROS_STATE_DIR"] = str(settings.state_dir)
    return env


def _surface(settings: Settings, env: Mapping[str, str], slot: Slot) -> Service:
    kept = ("PATH", "LANG", "LC_ALL", "TZ", "HOME", "VIRTUAL_ENV")
    return Service(
        f"web-{slot.id}",
        (
            sys.executable,
            str(settings.home / "scripts" / "run-web-surface.py"),
            "--root",
            str(web_root(settings, slot)),
            "--port",
            str(slot.web_port),
            "--api-target",
            slot.backend_url,
            "--slot",
            slot.id,
            "--allowed-hosts",
            slot.host_name,
        ),
        {key: env[key] for key in kept if key in env},
        settings.home,
        settings.log_dir / f"web-{slot.id}.log",
        HttpReady(slot.web_port),
        stage=0,
        ports=(slot.web_port,),
        on_all_processors=True,
        short_slices=True,
    )


def current_environment() -> dict[str, str]:
    """The environment of this process, read where the plan is made."""
    return dict(os.environ)
