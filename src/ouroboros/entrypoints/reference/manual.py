"""The manual page, of the same commands as `--help` (man-pages(7), groff_man(7))."""

import re
from collections.abc import Iterator, Mapping

from ouroboros.entrypoints.reference.commands import EVERYWHERE, CommandPage, Parameter, Program

_NOTICE = '.\\" Rendered from the code by `ouroboros render`; edit the code, not this file.'
_EXITS = (
    ("0", "done"),
    ("1", "failed"),
    ("2", "bad input"),
    ("3", "unhealthy"),
    ("75", "no slot is free, the run waits"),
    ("124", "timed out"),
)
_FILES = (
    (".ouroboros/", "everything that a local instance writes; deleting it leaves nothing behind"),
    ("/srv/oroboros/", "the same on a host"),
    ("preview.toml", "at the root of an application's repository: what to build and run"),
)


def render_manual(program: Program, meanings: Mapping[str, str]) -> str:
    """The page `ouroboros(1)`."""
    return "\n".join([*_head(program), *_commands(program), *_tail(meanings)]) + "\n"


def _head(program: Program) -> Iterator[str]:
    first, _, rest = program.told.partition("\n\n")
    yield _NOTICE
    yield ".TH OUROBOROS 1"
    yield ".SH NAME"
    yield f"ouroboros \\- {_text(first[0].lower() + first[1:].rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield ".B ouroboros"
    yield ".RI [ command ] "
    yield ".RI [ options ]"
    yield ".SH DESCRIPTION"
    yield _text(rest)
    yield ".PP"
    yield "Alone it shows the state, and the command that is useful next."
    yield "Every command takes:"
    for option, told in EVERYWHERE:
        yield from _item(f"\\fB{_text(option)}\\fR", told)


def _commands(program: Program) -> Iterator[str]:
    yield ".SH COMMANDS"
    for command in program.commands:
        yield f'.SS "ouroboros {_text(command.name)}"'
        yield from _synopsis(command)
        yield ".PP"
        yield _text(command.told).replace("\n\n", "\n.PP\n")
        for parameter in (*command.arguments, *command.options):
            yield from _item(f"\\fB{_text(parameter.shown)}\\fR", _meaning(parameter))


def _synopsis(command: CommandPage) -> Iterator[str]:
    yield f"\\fBouroboros {_text(command.name)}\\fR {_text(command.usage)}".rstrip()


def _meaning(parameter: Parameter) -> str:
    if parameter.required:
        return f"{parameter.told} (required)".strip()
    return (
        f"{parameter.told} (default: {parameter.default})" if parameter.default else parameter.told
    )


def _tail(meanings: Mapping[str, str]) -> Iterator[str]:
    yield ".SH EXIT STATUS"
    for status, told in _EXITS:
        yield from _item(status, told)
    yield ".SH ENVIRONMENT"
    for key, told in meanings.items():
        yield from _item(f"\\fB{key}\\fR", told)
    yield ".SH FILES"
    for path, told in _FILES:
        yield from _item(f"\\fI{path}\\fR", told)
    yield ".SH SEE ALSO"
    yield "The documents below"
    yield ".I docs/"
    yield "of the checkout; docs/reference/error\\-codes.md lists every error code."


def _item(tag: str, told: str) -> list[str]:
    return [".TP", tag, _text(told) or "\\&"]


def _text(text: str) -> str:
    """Text for groff: escapes are text, hyphens are those one types, no line begins a request."""
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", re.sub(r"`([^`]*)`", r"\1", text))
    escaped = plain.replace("\\", "\\e").replace("-", "\\-")
    ascii_only = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in escaped)
    return re.sub(r"^([.'])", r"\\&\1", ascii_only, flags=re.MULTILINE)
