"""The plain form of the commands that scripts use, read without the parser.

The parser's import costs more than most of them do. What is read here is only the plain form,
`--option VALUE` and flags, each once. Everything else, `--help` and every mistake among it, is
None here and the parser's to answer, so the two cannot disagree about what is wrong.
"""

from collections.abc import Callable, Sequence, Set
from functools import partial
from typing import Any, NamedTuple

from ouroboros.entrypoints.cli.publishing import ask_publish, ask_rollback
from ouroboros.entrypoints.cli.resets import ask_reset


class Form(NamedTuple):
    """What a command is given in its plain form, and what then answers it.

    `needed` options and `others` have a value, `flags` have none; `act` is called with all that
    were given, by the names that the parser gives them.
    """

    needed: Set[str]
    others: Set[str]
    flags: Set[str]
    act: Callable[..., None]


FORMS = {
    "publish": Form({"--run-id", "--repo", "--ref"}, {"--prebuilt"}, {"--detach"}, ask_publish),
    "rollback": Form({"--slot"}, {"--to"}, {"--database", "--detach"}, ask_rollback),
    "db reset": Form(
        {"--slot"}, {"--run-id"}, {"--dry-run"}, partial(ask_reset, "reset", strategy="empty")
    ),
    "db seed": Form(
        {"--slot", "--seed-version"},
        {"--run-id"},
        {"--dry-run", "--rebuild", "--strict"},
        partial(ask_reset, "seed", strategy="seed"),
    ),
    "db reset-and-seed": Form(
        {"--slot", "--run-id", "--strategy"},
        {"--seed-version", "--snapshot-version"},
        {"--dry-run", "--rebuild", "--strict"},
        partial(ask_reset, "reset-and-seed"),
    ),
}
"""The commands that have a plain form."""


def read_plain(arguments: Sequence[str]) -> tuple[str, Callable[[], None]] | None:
    """Read arguments into a command's name and what answers it; None when they are not plain."""
    count = 2 if arguments[:1] == ["db"] else 1
    command = " ".join(arguments[:count])
    form = FORMS.get(command)
    given = None if form is None else _read_options(form, arguments[count:])
    return None if form is None or given is None else (command, partial(form.act, **given))


def _read_options(form: Form, arguments: Sequence[str]) -> dict[str, Any] | None:
    given: dict[str, Any] = {}
    rest = iter(arguments)
    for option in rest:
        value = True if option in form.flags else next(rest, "-")
        known = option in form.needed | form.others | form.flags
        if not known or option in given or str(value).startswith("-"):
            return None
        given[option] = value
    if not form.needed <= given.keys():
        return None
    return {option[2:].replace("-", "_"): value for option, value in given.items()}
