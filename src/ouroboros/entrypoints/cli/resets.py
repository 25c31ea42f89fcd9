"""The resets that scripts ask for, read without the parser, whose import costs more than they do.

It knows only the plain form, `--option VALUE` and the flags, each once. Everything else, `--help`
and every mistake among it, is None here and the parser's to answer, so the two cannot disagree
about what is wrong.
"""

from collections.abc import Sequence
from typing import Any

from ouroboros.entrypoints.cli.connect import client, path_of
from ouroboros.entrypoints.cli.output import Document, answer, facts

_FLAGS = {"--dry-run", "--rebuild", "--strict"}
_VERBS: dict[str, tuple[set[str], set[str]]] = {
    "reset": ({"--slot"}, {"--slot", "--run-id", "--dry-run"}),
    "seed": ({"--slot", "--seed-version"}, {"--slot", "--seed-version", "--run-id", *_FLAGS}),
    "reset-and-seed": (
        {"--slot", "--run-id", "--strategy"},
        {"--slot", "--run-id", "--strategy", "--seed-version", "--snapshot-version", *_FLAGS},
    ),
}
"""Of each command the options it needs, and those it may have."""
_STRATEGIES = {"reset": "empty", "seed": "seed"}


def read_reset(arguments: Sequence[str]) -> tuple[str, str, dict[str, Any]] | None:
    """Read `db VERB …` into the verb, the slot and what is asked; None when it is not plain."""
    if len(arguments) < 2 or arguments[0] != "db" or arguments[1] not in _VERBS:
        return None
    verb = arguments[1]
    needed, allowed = _VERBS[verb]
    given: dict[str, Any] = {}
    rest = iter(arguments[2:])
    for option in rest:
        value = True if option in _FLAGS else next(rest, "-")
        if option not in allowed or option in given or str(value).startswith("-"):
            return None
        given[option] = value
    if not needed <= given.keys():
        return None
    asked = {option[2:].replace("-", "_"): value for option, value in given.items()}
    slot = str(asked.pop("slot"))
    return verb, slot, {"strategy": _STRATEGIES.get(verb), **asked}


def ask_reset(verb: str, slot: str, asked: dict[str, Any]) -> None:
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
