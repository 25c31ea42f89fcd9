"""Archives of snapshots: pg_dump's custom format, written by the loader from the workshop.

Nobody but the loader touches the contents of a database that branch code has filled; restoring an
archive is the loader's work, too (`loading`), never a superuser's.
"""

import os
from pathlib import Path

from ouroboros.adapters.cluster.loading import client_env
from ouroboros.adapters.cluster.workshop import Workshop
from ouroboros.domain.command import Command
from ouroboros.domain.errors import Failed, Refused
from ouroboros.plans.postgres_config import LOADER


def write_archive(workshop: Workshop, directory: Path, name: str) -> Path:
    """Dump what is in the workshop to `<directory>/<name>.dump`, whole or not at all.

    Raises `snapshot_exists`, `archive_failed`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.dump"
    draft = directory / f".{name}.{os.getpid()}.draft"
    finished = workshop.runner.run(
        Command(
            argv=(
                str(workshop.programs / "pg_dump"),
                *("--format=custom", "--compress=1", "--no-owner", "--no-privileges"),
                *("--file", str(draft), LOADER),
            ),
            cwd=directory,
            env=client_env(workshop.access, LOADER, LOADER),
            time_limit_s=workshop.time_limit_s,
        )
    )
    try:
        if not finished.succeeded:
            raise Failed(
                "archive_failed",
                f"pg_dump of snapshot {name} ended with status {finished.exit_status}",
                "see the output; the disk may be full",
                {"output": finished.output[-4000:]},
            )
        # A link, unlike a rename, never replaces what another process put there meanwhile.
        os.link(draft, path)
    except FileExistsError as error:
        raise Refused("snapshot_exists", f"{path} exists", "choose another name") from error
    finally:
        draft.unlink(missing_ok=True)
    return path
