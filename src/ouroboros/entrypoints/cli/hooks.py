"""Pull requests on the command line: list them, approve a fork's commit, check the file."""

import os
from typing import Annotated

import typer

from ouroboros.entrypoints.cli.connect import client, path_of, settings
from ouroboros.entrypoints.cli.output import Document, answer, table

app = typer.Typer(help="Pull requests that git hosts tell of by webhook.", no_args_is_help=True)


@app.command("list")
def list_pull_requests(
    closed: Annotated[bool, typer.Option("--closed", help="closed ones, too")] = False,
    limit: Annotated[int, typer.Option(help="how many at most")] = 50,
) -> None:
    """The pull requests, and which wait for an approval."""
    asked = {"is_open": None if closed else True, "limit": limit}
    answer("hooks list", client().get("/api/pull-requests", asked), _told)


@app.command()
def approve(
    run_id: Annotated[str, typer.Argument(help="as `hooks list` shows it")],
    commit: Annotated[str, typer.Option(help="the full id of the commit you have looked at")],
) -> None:
    """Let one commit of a fork be published; its next commit waits again."""
    got = client().post(path_of("api", "pull-requests", run_id, "approve"), {"commit_sha": commit})
    answer("hooks approve", got, lambda d: f"{d['commit_sha']} of {d['run_id']} is approved")


@app.command()
def check() -> None:
    """Read git-hosts.toml with its secrets, and tell all that is wrong with it."""
    from ouroboros.adapters.git_host_files import read_git_hosts

    configured = settings()
    found = read_git_hosts(configured.git_hosts_file, os.environ)
    document = {
        "file": str(configured.git_hosts_file),
        "repositories": [each.document() for each in found],
    }
    answer("hooks check", document, _told_repositories)


def _told(document: Document) -> str:
    columns = ("run_id", "repository", "number", "run_state", "slot_id", "head_sha", "wants")
    rows = [
        {**each, "wants": "approval" if each["waits_for_approval"] else
         (each["problem"] or {}).get("error")}
        for each in document["pull_requests"]
    ]  # fmt: skip
    if not document["repositories"]:
        return "No repository is configured: docs/git-hosts.md"
    return table(([each[column] for column in columns] for each in rows), columns)


def _told_repositories(document: Document) -> str:
    columns = ("git_host", "name", "clone_url", "seed_version", "snapshot_version", "forks",
               "reports", "webhook")  # fmt: skip
    if not document["repositories"]:
        return f"{document['file']} names no repository: docs/git-hosts.md"
    return table(([each[c] for c in columns] for each in document["repositories"]), columns)
