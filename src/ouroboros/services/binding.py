"""Binding what a branch says to a slot: its commands, its environment and its database.

Checked before anything runs: a command gets its own slot's database URL or it is not started.
"""

from collections.abc import Mapping
from pathlib import Path

from ouroboros.domain.application import fill
from ouroboros.domain.database_url import require_own_database
from ouroboros.domain.errors import Refused
from ouroboros.domain.slot import Slot

LAUNCHERS = Path(__file__).resolve().parents[1] / "adapters" / "launchers"


def placeholders(slot: Slot, environment: Mapping[str, str]) -> dict[str, str]:
    """What `{name}` stands for in an application's commands and environment."""
    return {
        "port": str(slot.api_port),
        "database.url": environment["DATABASE_URL"],
        "slot.id": slot.id,
        "slot.number": str(slot.number),
        "preview.url": slot.preview_url,
        "run.id": environment["RUN_ID"],
        "commit": environment["COMMIT_SHA"],
        "launcher.asgi": str(LAUNCHERS / "asgi.py"),
    }


def resolve_argv(
    argv: tuple[str, ...], directory: Path, values: Mapping[str, str]
) -> tuple[str, ...]:
    """Fill placeholders; a program named by a relative path lies in the directory.

    A database URL in an argument would be visible to other users of the host, so its placeholder
    is refused there: `secret_in_arguments`.
    """
    if any("{database.url}" in item for item in argv):
        raise Refused(
            "secret_in_arguments",
            "{database.url} stands in a command, whose arguments other users can read",
            "hand it over in [backend.env]",
        )
    first, *rest = (fill(item, values) for item in argv)
    program = str(directory / first) if "/" in first and not first.startswith("/") else first
    return (program, *rest)


def require_bound(slot: Slot, environment: Mapping[str, str], own: str) -> None:
    """Refuse an environment that points at another database than the slot's.

    `own` is the slot's URL; the same names on another server are another database.
    """
    require_own_database(slot, environment["DATABASE_URL"])
    for value in environment.values():
        if value.startswith(("postgres:", "postgresql:", "postgresql+")):
            require_own_database(slot, value)
            if value.partition("://")[2] != own.partition("://")[2]:
                raise Refused(
                    "unsafe_database_target",
                    f"{slot.id} may only use its database where the preview keeps it",
                    "use {database.url} in [backend.env]",
                )
