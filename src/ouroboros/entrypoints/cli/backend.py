"""The backend of a slot on the command line: status, start, restart, health, stop."""

import typer

from ouroboros.entrypoints.cli.connect import client, path_of
from ouroboros.entrypoints.cli.lease import SlotName
from ouroboros.entrypoints.cli.output import answer, facts

app = typer.Typer(help="The backend of a slot.", no_args_is_help=True)


@app.command()
def status(slot: SlotName) -> None:
    """What runs behind the slot's API port."""
    _answer("status", client().get(path_of("api", "slots", slot, "backend")))


@app.command()
def health(slot: SlotName) -> None:
    """Ask the backend itself; exit 3 when it is not healthy."""
    _answer("health", client().get(path_of("api", "slots", slot, "backend", "health")))


@app.command()
def start(slot: SlotName) -> None:
    """Start the live release's backend; no error when it runs."""
    _answer("start", client().post(path_of("api", "slots", slot, "backend", "start")))


@app.command()
def restart(slot: SlotName) -> None:
    """Restart the live release's backend."""
    _answer("restart", client().post(path_of("api", "slots", slot, "backend", "restart")))


@app.command()
def stop(slot: SlotName) -> None:
    """Stop it and all it started; no error when it is stopped."""
    _answer("stop", client().post(path_of("api", "slots", slot, "backend", "stop")))


def _answer(verb: str, document: dict[str, object]) -> None:
    answer(f"backend {verb}", document, facts)
