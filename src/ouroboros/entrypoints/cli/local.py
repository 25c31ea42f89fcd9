"""Local mode on the command line: up, down, status."""

import os
import sys
from typing import Annotated, Any

import typer

from ouroboros.entrypoints.cli.connect import settings
from ouroboros.entrypoints.cli.instance import (
    ask_status,
    bring_down,
    bring_up,
    told_down,
    told_status,
    told_up,
    with_sign_in,
)
from ouroboros.entrypoints.cli.output import answer, progress
from ouroboros.entrypoints.cli.watch import Watch, answer_again


def up(
    detach: Annotated[bool, typer.Option("--detach", help="leave it running, return")] = False,
) -> None:
    """Start PostgreSQL, the API, the worker and the slots' surfaces, and keep them up."""
    from ouroboros.adapters.git_host_files import read_git_hosts

    configured = settings()
    read_git_hosts(configured.git_hosts_file, os.environ)  # what is wrong there is told here
    if detach:
        answer("up", with_sign_in(configured, bring_up(configured)), told_up)
        return
    from ouroboros.entrypoints.supervisor.house import run_house
    from ouroboros.entrypoints.supervisor.services import plan_services

    def on_ready(document: dict[str, Any]) -> None:
        answer("up", with_sign_in(configured, document), told_up)
        sys.stdout.flush()

    run_house(configured, plan_services(configured, os.environ), on_ready, progress)


def down() -> None:
    """End everything that `up` started, and only that."""
    answer("down", bring_down(settings()), told_down)


def status(watch: Watch = False) -> None:
    """Tell what is up: processes, ports, addresses and the slots' backends; exit 3 when ill."""
    configured = settings()
    answer_again("status", lambda: ask_status(configured), told_status, watch=watch)


COMMANDS = {"up": up, "down": down, "status": status}
