"""Pictures on the command line: two publishes compared, and a look at a page right now."""

import base64
from pathlib import Path
from typing import Annotated

import typer

from ouroboros.domain.errors import Failed
from ouroboros.entrypoints.cli.connect import client, path_of
from ouroboros.entrypoints.cli.output import Document, answer, facts

_PATIENCE_S = 240.0


def compare(
    before: Annotated[str, typer.Argument(help="a publish, e.g. p12")],
    after: Annotated[str, typer.Argument(help="another one")],
    page: Annotated[str | None, typer.Option(help="which picture; the answer lists them")] = None,
    output: Annotated[
        Path | None, typer.Option(help="write both side by side, with the region marked, as PNG")
    ] = None,
) -> None:
    """Compare what two publishes look like: how much differs, and where."""
    api = client()
    path = path_of("api", "publishes", before, "compare", after)
    found = api.get(path, {"page": page})
    if output is not None:
        query = {"page": found["page"], "side": "both"}
        _write(output, api.get_file(f"{path}/picture", query))
        found["output"] = str(output.absolute())
    answer("compare", found, _told)


def screenshot(
    slot: Annotated[str, typer.Argument(help="preview-<n>, or its alias preview<n>")],
    path: Annotated[str, typer.Option(help="the page, from / on")] = "/",
    output: Annotated[Path | None, typer.Option(help="where to write the PNG")] = None,
) -> None:
    """Look at a page of a preview as it is now, with its errors."""
    asked = {"path": path}
    found = client().post(path_of("api", "slots", slot, "screenshot"), asked, _PATIENCE_S)
    data = base64.b64decode(found.pop("png_base64"))
    target = output or Path(f"{found['slot_id']}.png")
    _write(target, data)
    answer("screenshot", {**found, "output": str(target.absolute())}, facts)


def _write(target: Path, data: bytes) -> None:
    try:
        target.write_bytes(data)
    except OSError as error:
        raise Failed(
            "output_not_written", f"{target}: {error.strerror}", "choose another --output"
        ) from error


def _told(found: Document) -> str:
    named = f"{found['before']['publish_id']} and {found['after']['publish_id']}"
    if found["same"]:
        return f"{named} look the same"
    region = found["region"]
    told = (
        f"{named}: {found['differing_pixels']} pixels differ ({100 * found['share']:.2f} %), in "
        f"{region['width']} × {region['height']} at {region['x']}, {region['y']}"
    )
    return f"{told}\n{found['output']}" if "output" in found else told


COMMANDS = {"compare": compare, "screenshot": screenshot}
