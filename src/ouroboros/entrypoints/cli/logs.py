"""The output of a publish on the command line: what is there, or all of it while it comes."""

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ouroboros.domain.errors import Failed, PreviewError
from ouroboros.domain.terminal_text import PLAIN, TerminalText, without_colours
from ouroboros.entrypoints.cli.completion import slot_names
from ouroboros.entrypoints.cli.connect import client, path_of
from ouroboros.entrypoints.cli.output import Document, Output, answer, facts, progress
from ouroboros.entrypoints.cli.patience import Patience

if TYPE_CHECKING:
    from ouroboros.client import Client


def logs(
    publish_id: Annotated[str | None, typer.Argument(help="e.g. p12")] = None,
    slot: Annotated[
        str | None,
        typer.Option(help="the newest publish of this slot", autocompletion=slot_names),
    ] = None,
    step: Annotated[
        str | None, typer.Option(help="only this step; build: frontend and backend")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="until it ends")] = False,
) -> None:
    """Print the output of a publish, also while it runs."""
    api = client()
    chosen = publish_id or _newest(api, slot)
    if follow:
        for kind, document in _events(api, chosen, step):
            if kind == "end":
                progress(f"publish {chosen} {document['state']}")
            elif not Output.as_json:
                _print(document["text"])
    if Output.as_json:
        answer("logs", _whole(api, chosen, step), facts)
    elif not follow:
        _print(_whole(api, chosen, step, colours="true")["text"])


def _events(
    api: "Client", publish_id: str, step: str | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events of a publish to its end, over restarts of the API."""
    after, patience = "0", Patience()
    path = path_of("api", "publishes", publish_id, "log")
    while True:
        try:
            query = {"follow": "true", "step": step, "offset": after}
            for kind, event_id, document in api.events(path, query):
                after = event_id
                patience.heard()
                yield kind, document
                if kind == "end":
                    return
            patience.pause()
        except PreviewError as error:
            patience.bear(error)


def _whole(
    api: "Client", publish_id: str, step: str | None, colours: str | None = None
) -> Document:
    parts: list[str] = []
    offset = 0
    path = path_of("api", "publishes", publish_id, "log")
    while True:
        part = api.get(path, {"offset": offset, "step": step, "colours": colours})
        if part["next_offset"] == offset:
            return {"publish_id": publish_id, "step": step, "text": "".join(parts)}
        parts.append(part["text"])
        offset = part["next_offset"]


def _newest(api: "Client", slot: str | None) -> str:
    found = api.get("/api/publishes", {"slot": slot, "limit": 1})["publishes"]
    if not found:
        raise Failed("publish_not_found", "there is no publish yet", "ouroboros publish --help")
    return str(found[0]["publish_id"])


def _print(text: str) -> None:
    """Print output; cleaned once more, since the API may be another host's."""
    clean = TerminalText().feed(text.encode("utf-8", "replace"), last=True)
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        clean += PLAIN if "\x1b[" in clean else ""
    else:
        clean = without_colours(clean)
    encoding = sys.stdout.encoding or "ascii"
    sys.stdout.write(clean.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()
