"""The command line as the parser knows it: one page, and what `--help` prints.

The manual page is made from the same value, so the three cannot disagree.
"""

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ouroboros.entrypoints.cli.main import make_app
from ouroboros.entrypoints.reference.markdown import code, page, prose, rows

EVERYWHERE = (
    ("--json", "answer with one JSON document, also on a terminal"),
    ("--help", "tell what a command takes, and end"),
)
"""What every command takes."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument or an option as one types it, with what it means."""

    shown: str
    told: str
    required: bool
    default: str


@dataclass(frozen=True, slots=True)
class CommandPage:
    """One command, by its whole name after `ouroboros`."""

    name: str
    usage: str
    told: str
    arguments: tuple[Parameter, ...]
    options: tuple[Parameter, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """All commands, in the order of the help."""

    told: str
    commands: tuple[CommandPage, ...]


def read_program() -> Program:
    """Read the commands out of the parser."""
    import typer  # noqa: PLC0415  the parser is heavy, and only rendering comes here

    group: Any = typer.main.get_command(make_app())
    return Program(_paragraphs(group.help), tuple(_pages(group, "")))


def render_help() -> str:
    """What the parser prints for `--help` on a terminal of 80 columns."""
    printed = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "80"
    try:
        with contextlib.redirect_stdout(printed):
            make_app()(["--help"], prog_name="ouroboros", standalone_mode=False)
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    return printed.getvalue()


def render_commands(program: Program) -> str:
    """The page of the command line."""
    return page(
        "Commands",
        f"{program.told}\n\n"
        "`ouroboros` alone shows the state and the command that is useful next. Every command "
        "takes "
        + " and ".join(f"{code(option)} ({told})" for option, told in EVERYWHERE)
        + ". The same stands in the manual page: `man -l man/ouroboros.1`.",
        [_section(command) for command in program.commands],
    )


def _section(command: CommandPage) -> str:
    parts = [
        f"## ouroboros {command.name}",
        prose(command.told),
        f"```text\nouroboros {command.name}{' ' if command.usage else ''}{command.usage}\n```",
    ]
    parameters = (*command.arguments, *command.options)
    if parameters:
        cells = [
            (code(each.shown), prose(each.told), "required" if each.required else each.default)
            for each in parameters
        ]
        parts.append(rows(("argument or option", "meaning", "default"), cells))
    return "\n\n".join(parts)


def _pages(group: Any, above: str) -> Iterator[CommandPage]:
    for name, command in group.commands.items():
        whole = f"{above}{name}"
        if hasattr(command, "commands"):
            yield from _pages(command, f"{whole} ")
        elif not command.hidden:
            yield _page(whole, command)


def _page(name: str, command: Any) -> CommandPage:
    context = command.make_context(name, [], resilient_parsing=True)
    shown = [each for each in command.params if each.name != "help"]
    return CommandPage(
        name,
        " ".join(part for part in command.collect_usage_pieces(context) if part),
        _paragraphs(command.help),
        tuple(_read(each, context) for each in shown if each.param_type_name == "argument"),
        tuple(_read(each, context) for each in shown if each.param_type_name == "option"),
    )


def _read(parameter: Any, context: Any) -> Parameter:
    record = parameter.get_help_record(context) or (parameter.make_metavar(context), "")
    unset = parameter.default is None or parameter.default is False
    default = "" if unset else str(parameter.default)
    return Parameter(record[0], parameter.help or "", parameter.required, default)


def _paragraphs(text: str | None) -> str:
    """A docstring's text without its line breaks; paragraphs stay apart."""
    return "\n\n".join(" ".join(each.split()) for each in (text or "").split("\n\n"))
