"""`ouroboros support-bundle`: one file for whoever is asked for help."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ouroboros.domain.errors import BadInput
from ouroboros.entrypoints.cli.connect import client, settings
from ouroboros.entrypoints.cli.host import host_check, is_host
from ouroboros.entrypoints.cli.output import Document, answer

_PATIENCE_S = 60.0


def support_bundle(
    file: Annotated[Path | None, typer.Argument(help="a .tar.gz that is not there yet")] = None,
) -> None:
    """Collect versions, findings, states and logs, without secrets, in one .tar.gz.

    Works as well when nothing else does: what cannot be read says so. Look it through before you
    give it away: what branches printed is in it.
    """
    from ouroboros.adapters.known_secrets import BundleMask
    from ouroboros.services.support import SupportBundle

    configured = settings()
    if configured.url is not None:
        raise BadInput("local_only", "a bundle is made where Ouroboros runs", "unset OUROBOROS_URL")
    path = file or Path(time.strftime("ouroboros-support-%Y%m%d-%H%M%S.tar.gz", time.gmtime()))
    bundle = SupportBundle(
        configured,
        BundleMask(configured, os.environ),
        lambda asked: client().get(asked, time_limit_s=_PATIENCE_S),
        _look(),
    )
    answer("support-bundle", bundle.write(path.absolute()), _told)


def _look() -> Callable[[], Any]:
    if is_host():
        return lambda: host_check().run()
    from ouroboros.entrypoints.cli.instance import ask_status

    return lambda: ask_status(settings())


def _told(document: Document) -> str:
    lines = [f"{document['path']}: {len(document['parts'])} parts, {document['bytes']} bytes"]
    lines += [f"  not read: {name} ({why})" for name, why in document["unread"].items()]
    return "\n".join([*lines, "Look it through before you give it away."])


COMMANDS = {"support-bundle": support_bundle}
