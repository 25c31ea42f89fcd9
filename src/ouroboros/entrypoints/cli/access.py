"""Tokens on the command line: make, list, revoke."""

from typing import Annotated

import typer

from ouroboros.entrypoints.cli.connect import client, path_of
from ouroboros.entrypoints.cli.output import Document, answer, table

app = typer.Typer(help="Tokens, by which programs elsewhere are known.", no_args_is_help=True)

_DAY_S = 86400


@app.command()
def create(
    name: Annotated[str, typer.Option(help="who will use it, e.g. ci")],
    scope: Annotated[str, typer.Option(help="read, run or operate")] = "read",
    run_id: Annotated[str | None, typer.Option("--run-id", help="binds it to this run")] = None,
    days: Annotated[float, typer.Option(help="how long it lives")] = 90.0,
) -> None:
    """Make a token and print it, this once."""
    asked = {"name": name, "scope": scope, "run_id": run_id, "ttl_s": int(days * _DAY_S)}
    answer("token create", client().post("/api/tokens", asked), _told_new)


@app.command("list")
def list_tokens() -> None:
    """The tokens, newest first; never their texts."""
    columns = ("token_id", "name", "scope", "run_id", "valid", "last_used_at", "expires_at")
    answer(
        "token list",
        client().get("/api/tokens"),
        lambda d: table(([t[c] for c in columns] for t in d["tokens"]), columns),
    )


@app.command()
def revoke(token_id: Annotated[str, typer.Argument(help="as `token list` shows it")]) -> None:
    """End a token; whoever uses it is refused from now on."""
    got = client().post(path_of("api", "tokens", token_id, "revoke"))
    answer("token revoke", got, lambda d: f"{d['token_id']} is revoked")


def _told_new(document: Document) -> str:
    return (
        f"{document['token']}\n\n{document['name']} may {document['scope']} until "
        f"{document['expires_at']}. It is not shown again.\n"
        "Use it: OUROBOROS_URL=… OUROBOROS_TOKEN=… ouroboros slots"
    )
