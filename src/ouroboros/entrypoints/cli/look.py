"""Looking at things: open a preview or the dashboard, the difference of a database, events."""

import sys
import webbrowser
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ouroboros.domain.errors import NotFound, Refused
from ouroboros.entrypoints.cli import states
from ouroboros.entrypoints.cli.completion import slot_names
from ouroboros.entrypoints.cli.connect import client, path_of, settings
from ouroboros.entrypoints.cli.output import answer, table

if TYPE_CHECKING:
    from ouroboros.client import Client


def open_page(
    slot: Annotated[
        str | None,
        typer.Argument(help="a slot's preview; else the dashboard", autocompletion=slot_names),
    ] = None,
    sign_in: Annotated[bool, typer.Option("--sign-in", help="with a one-time link")] = False,
) -> None:
    """Open a preview, or the dashboard, in the browser; prints the address."""
    api = client()
    address = _preview(api, slot) if slot else _dashboard(api, sign_in=sign_in)
    if sys.stdout.isatty():
        webbrowser.open(address)
    answer("open", {"url": address}, lambda document: str(document["url"]))


def diff(
    slot: Annotated[
        str,
        typer.Argument(help="preview-<n>, or its alias preview<n>", autocompletion=slot_names),
    ],
    samples: Annotated[int, typer.Option(help="rows shown of each kind of change")] = 5,
) -> None:
    """Show what changed in a slot's database since its reset."""
    states.diff(slot, samples)


def events(
    slot: Annotated[str | None, typer.Option(help="only of this slot")] = None,
    run_id: Annotated[str | None, typer.Option(help="only of this run")] = None,
    limit: Annotated[int, typer.Option(help="how many at most")] = 20,
) -> None:
    """What happened, newest first."""
    got = client().get("/api/events", {"slot": slot, "run_id": run_id, "limit": limit})
    columns = ("at", "kind", "slot_id", "run_id", "publish_id")
    answer("events", got, lambda d: table(([e[c] for c in columns] for e in d["events"]), columns))


def runs(limit: Annotated[int, typer.Option(help="how many at most")] = 20) -> None:
    """The runs, newest first: where each is and what it published last."""
    got = client().get("/api/runs", {"limit": limit})
    columns = ("run_id", "state", "slot_id", "branch", "latest_publish", "expires_at")
    answer("runs", got, lambda d: table(([r[c] for c in columns] for r in d["runs"]), columns))


def _preview(api: "Client", named: str) -> str:
    slot: dict[str, Any]
    for slot in api.get("/api/slots/contract")["slots"]:
        if named in (slot["slot_id"], slot["alias"]):
            return str(slot["url"])
    # The control plane says which there are.
    api.get(path_of("api", "slots", named, "backend"))
    raise NotFound("invalid_slot", f"there is no slot {named}", "ouroboros slots")


def _dashboard(api: "Client", *, sign_in: bool) -> str:
    if sign_in:
        return str(api.post("/api/sign-in-links")["link"])
    configured = settings()
    if configured.url is not None:
        return configured.url
    if configured.pool.slots[0].domain != "localhost":
        raise Refused("no_address", "the dashboard's address is not known here", "--sign-in")
    return f"http://ouroboros.localhost:{configured.api_port}"


COMMANDS = {"open": open_page, "diff": diff, "events": events, "runs": runs}
