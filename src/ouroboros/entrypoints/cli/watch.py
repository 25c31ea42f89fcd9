"""`--watch`: the same answer again and again, in place, until Ctrl-C.

A person sees it on a screen of its own, and the last one stays when it ends. A program gets one
JSON document a line, and a new line only when something has changed.
"""

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Annotated

import typer

from ouroboros.domain.errors import PreviewError
from ouroboros.entrypoints.cli.output import Document, Output, answer, printable

Watch = Annotated[
    bool, typer.Option("--watch", "-w", help="show it again when it changes, until Ctrl-C")
]

_EVERY_S = 1.0
_MAY_COME_BACK = (503, 504)
_ENTER, _LEAVE = "\033[?1049h\033[?25l\033[?7l", "\033[?7h\033[?25h\033[?1049l"
"""The other screen without a cursor and without line breaks, and back (xterm's ctlseqs)."""
_HOME, _END_OF_LINE, _BELOW = "\033[H", "\033[K", "\033[J"


def answer_again(
    command: str,
    ask: Callable[[], Document],
    readable: Callable[[Document], str],
    *,
    watch: bool,
) -> None:
    """Answer once, or with `watch` until Ctrl-C.

    What does not answer now may come back, so while watching that is shown, and not the end.
    """
    if not watch:
        answer(command, ask(), readable)
        return
    with suppress(KeyboardInterrupt):  # it may come while something is asked, shown or waited for
        if Output.wants_json():
            _print_changes(command, ask)
        else:
            _draw(ask, readable)


def _print_changes(command: str, ask: Callable[[], Document]) -> None:
    before = None
    for found in _repeated(ask):
        now = (
            {**found.document(), "command": command}
            if isinstance(found, PreviewError)
            else {"ok": True, "command": command, **found}
        )
        line = json.dumps(now, default=str, ensure_ascii=True)
        if line != before:
            print(line, flush=True)
        before = line


def _draw(ask: Callable[[], Document], readable: Callable[[Document], str]) -> None:
    text = ""
    try:
        with _screen():
            for found in _repeated(ask):
                text = _told(found) if isinstance(found, PreviewError) else readable(found)
                shown = text.splitlines()[: shutil.get_terminal_size().lines - 2]
                lines = [f"{line}{_END_OF_LINE}\n" for line in [*shown, ""]]
                sys.stdout.write(f"{_HOME}{''.join(lines)}Ctrl-C ends{_END_OF_LINE}{_BELOW}")
                sys.stdout.flush()
    finally:
        print(text)


def _repeated(ask: Callable[[], Document]) -> Iterator[Document | PreviewError]:
    """What is answered, every second."""
    while True:
        try:
            found: Document | PreviewError = ask()
        except PreviewError as error:
            if error.http_status not in _MAY_COME_BACK:
                raise
            found = error
        yield found
        time.sleep(_EVERY_S)


@contextmanager
def _screen() -> Iterator[None]:
    sys.stdout.write(_ENTER)
    try:
        yield
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()


def _told(error: PreviewError) -> str:
    hint = f"\nNext: {printable(error.hint)}" if error.hint else ""
    return f"{printable(error.message)} ({error.code}){hint}"
