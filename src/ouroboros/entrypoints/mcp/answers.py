"""Answers short enough for a model: what it decides by, and where the rest can be seen."""

from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]

_LONGEST_TEXT = 6000
_MOST_TABLES = 30


def short_slot(slot: Document) -> dict[str, Any]:
    """One slot in a line's worth."""
    kept = ("slot_id", "state", "run_id", "branch", "publish_id", "commit_sha", "expires_at", "url")
    return {key: slot[key] for key in kept if slot.get(key) is not None}


def short_backend(backend: Document) -> dict[str, Any]:
    """What runs behind a slot's API port."""
    kept = ("state", "health", "publish_id", "restarts", "last_exit")
    return {key: backend[key] for key in kept if backend.get(key) is not None}


def short_publish(found: Document) -> dict[str, Any]:
    """A publish: how far it is, and when it failed, why."""
    steps = {step["step"]: step["state"] for step in found["steps"]}
    shown: dict[str, Any] = {
        "publish_id": found["publish_id"],
        "state": found["state"],
        "final": found["final"],
        "preview_ready": found["preview_ready"],
        "slot_id": found["slot_id"],
        "commit_sha": found["commit_sha"],
        "steps": steps,
    }
    if found["preview_ready"]:
        shown["url"] = found["url"]
    failure = found["failure"] or {}
    if failure:
        shown["failed_step"] = found["failed_step"]
        shown["error"] = failure.get("error")
        shown["message"] = failure.get("message")
        shown["log_tail"] = tail(str(failure.get("log_tail", "")), 30)
    return shown


def short_difference(found: Document) -> dict[str, Any]:
    """What changed in a database: objects of the schema by name, rows by table with samples."""
    tables = dict(list(found["tables"].items())[:_MOST_TABLES])
    return {
        "slot_id": found["slot_id"],
        "changed": found["changed"],
        "since": found["source"],
        "schema": {
            kind: [f"{item['kind']} {item['name']}" for item in items]
            for kind, items in found["schema"].items()
            if items
        },
        "tables": tables,
        "tables_not_shown": max(0, len(found["tables"]) - _MOST_TABLES),
    }


def tail(text: str, lines: int) -> str:
    """The last lines of a text, within what a model should read."""
    return "\n".join(text.splitlines()[-lines:])[-_LONGEST_TEXT:]
