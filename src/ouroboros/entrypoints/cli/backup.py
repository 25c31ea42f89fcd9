"""`ouroboros backup` and `ouroboros restore`: the control plane in one file, and back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ouroboros.domain.errors import BadInput
from ouroboros.entrypoints.cli.connect import settings
from ouroboros.entrypoints.cli.host import is_host
from ouroboros.entrypoints.cli.lease import DryRun
from ouroboros.entrypoints.cli.output import Document, answer

if TYPE_CHECKING:
    from ouroboros.services.backup import ControlPlaneCopy

File = Annotated[Path, typer.Argument(help="a .tar.gz")]


def backup(file: File) -> None:
    """Write what cannot be made again into one file: control plane, settings, snapshots.

    Everything may go on meanwhile. Passwords of databases are not in it.
    """
    answer("backup", _control_plane().backup(file.absolute()), _told_backup)


def restore(
    file: File,
    dry_run: DryRun = False,
    without_present: Annotated[
        bool, typer.Option("--without-present", help="make no backup of what is replaced")
    ] = False,
) -> None:
    """Replace the control plane by a backup; fences go on above whatever was seen since.

    What is there is backed up first. Leases that ended since, or that nothing proves, are ended.
    """
    done = _control_plane().restore(
        file.absolute(), dry_run=dry_run, keep_present=not without_present
    )
    answer("restore", done, _told_restore)


def _control_plane() -> "ControlPlaneCopy":
    from ouroboros.bootstrap import control_plane_copy

    configured = settings()
    if configured.url is not None:
        raise BadInput("local_only", "this is done where Ouroboros runs", "unset OUROBOROS_URL")
    if is_host():
        from ouroboros.plans.units.places import SETTINGS_FILE
        from ouroboros.services.host.provision import read_host_settings

        _, dsn, _ = read_host_settings({})
        return control_plane_copy(configured, dsn, Path(SETTINGS_FILE))
    return control_plane_copy(configured)


def _told_backup(document: Document) -> str:
    return f"{document['path']}: {document['bytes']} bytes, {len(document['files'])} files"


def _told_restore(document: Document) -> str:
    if document["dry_run"]:
        return f"would restore the control plane of {document['made_at']}"
    lines = [f"the control plane is that of {document['made_at']}"]
    lines += [
        f"  {slot}  {document['slots'][slot] or 'free'}  fence {fence}"
        for slot, fence in document["fences"].items()
    ]
    return "\n".join([*lines, f"what was there before: {document['kept']}"])


COMMANDS = {"backup": backup, "restore": restore}
