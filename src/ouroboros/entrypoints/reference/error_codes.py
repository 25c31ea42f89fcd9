"""Every error code that the source can raise, with what it says.

Found by reading the source and not by a list, so that a new code is in the reference when it is in
the code.
"""

import ast
from dataclasses import dataclass, field
from pathlib import Path

from ouroboros.domain import errors
from ouroboros.domain.errors import PreviewError
from ouroboros.entrypoints.http.problems import STATUSES
from ouroboros.entrypoints.reference.markdown import code, page, prose
from ouroboros.entrypoints.reference.source_text import SourceText, name_of, told
from ouroboros.services.publish.work import PublishStopped

_KINDS = {
    name: kind
    for name, kind in {**vars(errors), "PublishStopped": PublishStopped}.items()
    if isinstance(kind, type) and issubclass(kind, PreviewError)
}


@dataclass(slots=True)
class ErrorCode:
    """One code: the kinds of error it comes as, and what is said with it."""

    code: str
    kinds: set[type[PreviewError]] = field(default_factory=set)
    sayings: set[tuple[str, str]] = field(default_factory=set)
    """Messages with their hints; what is filled in stands in braces."""


def read_error_codes(package: Path) -> dict[str, ErrorCode]:
    """Read every module below `package`; raises `code_not_followed`."""
    source = SourceText(package)
    found: dict[str, ErrorCode] = {}
    for scope, raised in source.calls_with_scope():
        kind = _KINDS.get(name_of(raised.func))
        if kind is None or not raised.args:
            continue
        saying = (_given(raised, 1, "message"), _given(raised, 2, "hint"))
        for each in source.constants(raised.args[0], scope):
            entry = found.setdefault(each, ErrorCode(each))
            entry.kinds.add(kind)
            entry.sayings.add(saying)
    return dict(sorted(found.items()))


def render_error_codes(codes: dict[str, ErrorCode]) -> str:
    """The page of error codes, by their names."""
    return page(
        "Error codes",
        "A failure is a code, a message and the next command to type: JSON on stdout (over HTTP "
        "`problem+json`), with the exit status and the HTTP status below. Codes are promises: none "
        "is renamed or given a second meaning. What stands in braces is filled in.",
        [_section(entry) for entry in codes.values()],
    )


def _section(entry: ErrorCode) -> str:
    exits = {kind.exit_code for kind in entry.kinds}
    statuses = {STATUSES.get(entry.code, kind.http_status) for kind in entry.kinds}
    lines = [
        f"- {prose(message) or '(what the failure itself says)'}"
        + (f"<br>Next: {prose(hint)}" if hint else "")
        for message, hint in sorted(entry.sayings)
    ]
    known = f"Exit {_listed(exits)}, HTTP {_listed(statuses)}."
    return "\n\n".join([f"## {code(entry.code)}", known, "\n".join(lines)])


def _listed(numbers: set[int]) -> str:
    return " or ".join(str(number) for number in sorted(numbers))


def _given(raised: ast.Call, at: int, name: str) -> str:
    """A message or a hint as far as the source tells it."""
    if len(raised.args) > at:
        return told(raised.args[at])
    return "".join(told(each.value) for each in raised.keywords if each.arg == name)
