"""What a command prints: one JSON document on stdout for machines, lines for people.

JSON is the default when stdout is not a terminal. Progress goes to stderr, so stdout always holds
exactly the answer.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TextIO

from ouroboros.domain.errors import PreviewError

Document = Mapping[str, Any]

_GOOD, _BUSY, _BAD, _QUIET = 32, 33, 31, 2
_COLOURS = {
    **dict.fromkeys(("ready", "done", "completed"), _GOOD),
    **dict.fromkeys(("building", "running", "queued", "waiting", "leased", "backoff"), _BUSY),
    **dict.fromkeys(("failed", "expired", "error"), _BAD),
    **dict.fromkeys(("free", "locked", "ended", "released", "cancelled", "superseded"), _QUIET),
}
"""The colour of each state (ECMA-48, SGR); its word stands there as well."""
_COLUMNS_OF_STATES = ("state", "lease_state", "reset_status", "severity")


class Output:
    """How this process answers; set once, from `--json`."""

    as_json = False

    @classmethod
    def wants_json(cls) -> bool:
        """Whether the answer is for a machine."""
        return cls.as_json or not sys.stdout.isatty()


def answer(command: str, document: Document, readable: Callable[[Document], str]) -> None:
    """Print a success."""
    if Output.wants_json():
        _print_json({"ok": True, "command": command, **document})
    else:
        print(readable(document))


def fail(command: str, error: PreviewError) -> int:
    """Print a failure and return its exit status."""
    if Output.wants_json():
        _print_json({**error.document(), "command": command})
    else:
        print(f"{bold('Not done')}: {printable(error.message)} ({error.code})", file=sys.stderr)
        tail = (error.details.get("failure") or {}).get("log_tail") or error.details.get("log_tail")
        if tail:
            print("\n".join(f"  {printable(line)}" for line in str(tail).splitlines()),
                  file=sys.stderr)  # fmt: skip
        if error.hint:
            print(f"Next: {printable(error.hint)}", file=sys.stderr)
    return error.exit_code


def progress(text: str) -> None:
    """Tell a person what is going on."""
    print(text, file=sys.stderr, flush=True)


def table(rows: Iterable[Sequence[object]], head: Sequence[str]) -> str:
    """Columns of text; empty cells are shown as a dash."""
    cells = [[printable("-" if cell in (None, "") else str(cell)) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in [list(head), *cells]) for at in range(len(head))]
    lines = [bold("  ".join(name.ljust(width) for name, width in zip(head, widths, strict=True)))]
    lines += [
        "  ".join(
            coloured(cell.ljust(width), cell if name in _COLUMNS_OF_STATES else "")
            for cell, width, name in zip(row, widths, head, strict=True)
        ).rstrip()
        for row in cells
    ]
    return "\n".join(lines)


def facts(document: Document, *keys: str) -> str:
    """The named fields of a document, one a line; all of them when none is named."""
    shown = [key for key in keys or document if document.get(key) is not None and key != "ok"]
    width = max((len(key) for key in shown), default=0)
    return "\n".join(f"{key.ljust(width)}  {printable(str(document[key]))}" for key in shown)


def bold(text: str) -> str:
    """Emphasis on a terminal."""
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text


def coloured(text: str, state: str, stream: TextIO | None = None) -> str:
    """Text in the colour of a state, on a terminal whose user wants colours (no-color.org)."""
    colour = _COLOURS.get(state)
    shown_on = stream or sys.stdout
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if colour is None or plain or not shown_on.isatty():
        return text
    return f"\033[{colour}m{text}\033[0m"


def printable(text: str) -> str:
    """Text that cannot drive a terminal: control characters are shown as escapes."""
    return "".join(
        char if char.isprintable() or char == "\t" else char.encode("unicode_escape").decode()
        for char in text
    )


def _print_json(document: Document) -> None:
    print(json.dumps(document, default=str, ensure_ascii=True))
