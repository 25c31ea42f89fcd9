"""Publishing on the command line: publish and watch, list, cancel."""

from pathlib import Path
from typing import Annotated

import typer

from ouroboros.entrypoints.cli import logs
from ouroboros.entrypoints.cli.connect import client, path_of
from ouroboros.entrypoints.cli.lease import RunId
from ouroboros.entrypoints.cli.output import answer, facts, table
from ouroboros.entrypoints.cli.publishing import ask_publish, ask_rollback


def publish(
    run_id: RunId,
    repo: Annotated[str, typer.Option(help="path or URL of the git repository")],
    ref: Annotated[str, typer.Option(help="branch, tag or full commit id")],
    prebuilt: Annotated[
        Path | None, typer.Option(help="a directory with built files: web/, backend/")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="do not wait for the end")] = False,
) -> None:
    """Publish a commit into the slot that the run holds, and wait until it is ready or failed."""
    ask_publish(run_id, repo, ref, prebuilt, detach=detach)


def rollback(
    slot: Annotated[str, typer.Option(help="the slot that goes back")],
    to: Annotated[str | None, typer.Option(help="a publish; else the one before")] = None,
    database: Annotated[
        bool, typer.Option("--database", help="also the database's state of that release")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="do not wait for the end")] = False,
) -> None:
    """Serve a release again that is kept: front end, backend and, on request, the database."""
    ask_rollback(slot, to, database=database, detach=detach)


def releases(slot: Annotated[str, typer.Option(help="the slot")]) -> None:
    """The releases of a slot's lease, and which of them can be gone back to."""
    got = client().get(path_of("api", "slots", slot, "releases"))
    columns = ("publish_id", "live", "kept", "commit_sha", "ref", "ready_at")
    answer(
        "releases", got, lambda d: table(([r[c] for c in columns] for r in d["releases"]), columns)
    )


def publishes(
    slot: Annotated[str | None, typer.Option(help="only of this slot")] = None,
    run_id: Annotated[str | None, typer.Option(help="only of this run")] = None,
) -> None:
    """The newest publishes."""
    got = client().get("/api/publishes", {"slot": slot, "run_id": run_id})
    columns = ("publish_id", "state", "slot_id", "run_id", "ref", "commit_sha", "queued_at")
    answer(
        "publishes",
        got,
        lambda d: table(([p[c] for c in columns] for p in d["publishes"]), columns),
    )


def cancel(publish_id: Annotated[str, typer.Argument(help="e.g. p12")]) -> None:
    """Ask for the end of a publish; what was served before stays."""
    got = client().post(path_of("api", "publishes", publish_id, "cancel"))
    answer("cancel", got, lambda d: facts(d, "publish_id", "state"))


COMMANDS = {
    "publish": publish,
    "publishes": publishes,
    "rollback": rollback,
    "releases": releases,
    "logs": logs.logs,
    "cancel": cancel,
}
