"""Reproducing a publish on the command line: the same again in a free slot, and compared."""

from typing import Annotated

import typer

from ouroboros.domain.errors import Failed
from ouroboros.domain.reproduction import compare
from ouroboros.entrypoints.cli.connect import client, path_of
from ouroboros.entrypoints.cli.output import Document, answer, facts, progress
from ouroboros.entrypoints.cli.publishing import watch

_RESET_LIMIT_S = 660.0


def reproduce(
    publish_id: Annotated[str, typer.Argument(help="e.g. p12")],
    run_id: Annotated[str | None, typer.Option(help="default: reproduce-<publish>")] = None,
    release: Annotated[bool, typer.Option("--release", help="give the slot back after")] = False,
) -> None:
    """Publish the same commit and seed into a free slot, and say whether the same came out."""
    api = client()
    original = api.get(path_of("api", "publishes", publish_id))
    made = api.get(path_of("api", "publishes", publish_id, "made-of"))
    run = run_id or f"reproduce-{publish_id}"
    strategy = "snapshot" if made["snapshot_version"] else "seed"
    progress(f"publishing {made['commit_sha']} with {strategy} for run {run}")
    lease = api.post(
        "/api/slots/acquire",
        {
            "run_id": run,
            "strategy": strategy,
            "seed_version": made["seed_version"],
            "snapshot_version": made["snapshot_version"],
        },
        time_limit_s=_RESET_LIMIT_S,
    )
    asked = {"run_id": run, "repo": original["repo"], "ref": made["commit_sha"]}
    if original.get("prebuilt"):
        asked["prebuilt"] = original["prebuilt"]
    copy = watch(api, api.post("/api/publishes", asked))
    found = compare(made, api.get(path_of("api", "publishes", copy["publish_id"], "made-of")))
    if release:
        api.post(path_of("api", "slots", lease["slot_id"], "release"), {"run_id": run})
    document = {
        "original": publish_id,
        "publish_id": copy["publish_id"],
        "slot_id": lease["slot_id"],
        "run_id": run,
        "url": copy["url"],
        **found.document(),
    }
    if not found.equal:
        raise Failed(
            "not_reproduced",
            f"{copy['publish_id']} differs from {publish_id}: first in {found.first_difference}",
            f"ouroboros logs {copy['publish_id']}; a front end that builds the slot's name in "
            "(VITE_SLOT_ID) differs from slot to slot",
            document,
        )
    answer("reproduce", document, _told)


def _told(document: Document) -> str:
    return facts(document, "equal", "built_files", "database_fingerprint_equal", "url", "slot_id",
                 "run_id", "publish_id")  # fmt: skip


COMMANDS = {"reproduce": reproduce}
