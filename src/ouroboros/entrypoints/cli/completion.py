"""Completion of the shell: the script that a shell reads, and what the words may be."""

from typing import Annotated

import typer

from ouroboros.domain.errors import BadInput, PreviewError
from ouroboros.entrypoints.cli.output import Output, answer

_SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_OUROBOROS_COMPLETE"


def slot_names(incomplete: str) -> list[str]:
    """The slots of this installation that begin so; none when the configuration is wrong."""
    from ouroboros.entrypoints.cli.connect import settings

    try:
        return [slot.id for slot in settings().pool if slot.id.startswith(incomplete)]
    except PreviewError:
        return []


def completion(shell: Annotated[str, typer.Argument(help="bash, zsh or fish")]) -> None:
    """Print the script that completes commands: eval "$(ouroboros completion bash)"."""
    from typer._completion_shared import get_completion_script

    if shell not in _SHELLS:
        raise BadInput(
            "unknown_shell",
            f"{shell[:40]!r} is not {', '.join(_SHELLS)}",
            "ouroboros completion bash",
        )
    script = get_completion_script(prog_name="ouroboros", complete_var=_VARIABLE, shell=shell)
    # A shell reads it from a pipe, so here that alone asks for no JSON.
    if Output.as_json:
        answer("completion", {"shell": shell, "script": script}, str)
    else:
        print(script)


COMMANDS = {"completion": completion}
