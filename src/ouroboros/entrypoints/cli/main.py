"""The program `ouroboros`: its commands, and the one place where errors become exit codes."""

import gc
import os
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ouroboros.domain.errors import BadInput, PreviewError
from ouroboros.entrypoints.cli.output import Output, fail
from ouroboros.entrypoints.cli.plain import read_plain

if TYPE_CHECKING:
    import typer

HELP_FILE = Path(__file__).with_name("help.txt")
"""What `--help` says, rendered and committed: the parser's import costs more than the answer."""

_COMPLETING = "_OUROBOROS_COMPLETE"
"""Set by the shell when it asks what a word may be completed to."""

_INSTALLED = Path("/srv/oroboros/releases")
_HELP = """Full-stack previews on fixed slots of one plain Linux host.

A run leases a slot (allocate), publishes a branch into it (publish), and gives it back (release).
Answers are JSON when stdout is not a terminal. Exit codes: 0 done, 1 failed, 2 bad input,
3 unhealthy, 75 waiting for a slot, 124 timed out."""


_COMMANDS = (
    "local", "lease", "publish", "reproduce", "look", "pictures", "host", "doctor", "support",
    "backup", "init", "agents", "completion",
)  # fmt: skip
"""The modules with commands, in the order of the help."""
_GROUPS = {"backend": "backend", "db": "states", "token": "access", "hooks": "hooks"}
"""The groups of commands, each with its module."""
_INTERRUPTED = 130
_LIGHT_FIRST = ("publish", "lease", "look")


def make_app(only: str = "") -> "typer.Typer":
    """The commands; where one is asked for that is known, nothing but what it needs."""
    import typer

    app = typer.Typer(
        help=_HELP, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
    )
    app.callback(help=_HELP)(_before_every_command)
    if only in _GROUPS:
        app.add_typer(_module(_GROUPS[only]).app, name=only)
        return app
    for name in sorted(_COMMANDS, key=lambda each: each not in _LIGHT_FIRST) if only else ():
        if (function := _module(name).COMMANDS.get(only)) is not None:
            app.command(only)(function)
            return app
    for name in _COMMANDS:
        for command, function in _module(name).COMMANDS.items():
            app.command(command)(function)
    for group, name in _GROUPS.items():
        app.add_typer(_module(name).app, name=group)
    return app


def _module(name: str) -> Any:
    return import_module(f"ouroboros.entrypoints.cli.{name}")


def _before_every_command() -> None:
    """Nothing; that it is there lets an application of one command have that command's name."""


def main() -> None:
    """Run one command; exits with its status."""
    gc.disable()
    _read_installed_settings()
    arguments = [argument for argument in sys.argv[1:] if argument != "--json"]
    Output.as_json = len(arguments) < len(sys.argv) - 1
    status = run(arguments)
    gc.freeze()  # the end of Python would look through all of it once more
    sys.exit(status)


def _stop_looking_at_imports() -> None:
    """Look for garbage from now on, but not in what was imported: a seventh of a command."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _read_installed_settings() -> None:
    """On a host, know what the services know; what the environment says comes first."""
    program = Path(__file__).resolve().parents[4]
    if program.parent == _INSTALLED:
        lines = (_INSTALLED.parent / "ouroboros.env").read_text(encoding="utf-8").splitlines()
        for line in lines:
            key, given, value = line.partition("=")
            if given and not line.startswith("#"):
                os.environ.setdefault(key, value)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    quick = _without_parser(arguments)
    if quick is not None and _COMPLETING not in os.environ:
        return quick()
    import typer

    command = " ".join(word for word in arguments[:2] if not word.startswith("-"))
    try:
        only = arguments[0] if arguments and _COMPLETING not in os.environ else ""
        app = make_app(only)
        _stop_looking_at_imports()
        status = app(arguments, prog_name="ouroboros", standalone_mode=False)
    except PreviewError as error:
        return fail(command, error)
    except typer.Abort:
        return _INTERRUPTED
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            return fail(command, BadInput("usage", error.format_message(), "ouroboros --help"))
        raise
    return status if isinstance(status, int) else 0


def _without_parser(arguments: list[str]) -> Callable[[], int] | None:
    plain = read_plain(arguments)
    return _QUICK.get(tuple(arguments)) if plain is None else partial(_run_plain, *plain)


def _run_plain(command: str, act: Callable[[], None]) -> int:
    _stop_looking_at_imports()
    try:
        act()
    except PreviewError as error:
        return fail(command, error)
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


def _run_overview() -> int:
    """Answer `ouroboros` alone, without the parser, too."""
    from ouroboros.entrypoints.cli.overview import show_overview

    try:
        show_overview()
    except PreviewError as error:
        return fail("", error)
    return 0


def _run_status() -> int:
    """Answer `status` without the parser, whose import costs more than the whole answer."""
    from ouroboros.entrypoints.cli.instance import show_status
    from ouroboros.settings import read_settings

    try:
        show_status(read_settings(os.environ))
    except PreviewError as error:
        return fail("status", error)
    return 0


def _print_help() -> int:
    print(HELP_FILE.read_text(encoding="utf-8"), end="")
    return 0


_QUICK = {(): _run_overview, ("status",): _run_status, ("--help",): _print_help}
"""What is answered without the parser."""
