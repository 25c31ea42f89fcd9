"""Asking for a reset of a slot's database, and telling what was done."""

from typing import Any

from ouroboros.entrypoints.cli.connect import client, path_of
from ouroboros.entrypoints.cli.output import Document, answer, facts


def ask_reset(verb: str, slot: str, **asked: Any) -> None:
    """Ask for a reset and answer."""
    path = path_of("api", "slots", slot, "database", "reset")
    answer(f"db {verb}", client().post(path, asked, time_limit_s=660.0), tell_done)


def tell_done(document: Document) -> str:
    """What was done to a slot's database, or would be."""
    if document.get("dry_run"):
        lines = [f"would {step}" for step in document["steps"]]
        return "\n".join([*lines, *document.get("warnings", [])])
    shown = ("slot_id", "db_name", "run_id", "seed_version", "snapshot_version", "path",
             "fingerprint", "duration_ms")  # fmt: skip
    return facts(document, *shown)
