"""The host on the command line: provision, health-check, render."""

from pathlib import Path
from typing import Annotated

import typer

from ouroboros.domain.errors import Failed
from ouroboros.domain.slot import make_pool
from ouroboros.entrypoints.cli.connect import client, settings
from ouroboros.entrypoints.cli.lease import DryRun
from ouroboros.entrypoints.cli.output import Document, answer, table
from ouroboros.plans.infrastructure import render_infrastructure


def provision(dry_run: DryRun = False) -> None:
    """Install or update what the slots need, and start their services."""
    got = client().post("/api/host/provision", {"dry_run": dry_run})
    answer("provision", got, _told_provision)


def health_check() -> None:
    """Check each slot, directly and through the router; exit 3 when one is not well."""
    answer("health-check", client().get("/api/host/health-check"), _told_health)


def render(
    check: Annotated[bool, typer.Option("--check", help="only say what differs")] = False,
) -> None:
    """Write the files below infra/ that follow from the default slots."""
    home = settings().home
    files = render_infrastructure(make_pool(domain="example.com"), 8088)
    differing = [path for path, text in files.items() if not _is_current(home / path, text)]
    if check and differing:
        raise Failed(
            "rendered_files_differ", ", ".join(differing), "ouroboros render", {"files": differing}
        )
    for path in differing:
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text(files[path], encoding="utf-8")
    answer("render", {"written": differing}, lambda d: f"{len(d['written'])} files written")


def _is_current(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def _told_provision(document: Document) -> str:
    if document["dry_run"]:
        return "\n".join(f"would {step}" for step in document["steps"])
    return f"{len(document['changes'])} files written"


def _told_health(document: Document) -> str:
    columns = ("slot", "state", "surface", "routed", "backend", "url")
    rows = [
        (s["slot_id"], s["state"], *(s["items"][c] for c in columns[2:5]), s["url"])
        for s in document["slots"]
    ]
    return table(rows, columns)


COMMANDS = {"provision": provision, "health-check": health_check, "render": render}
