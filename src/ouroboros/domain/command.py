"""A command is a value: argv, never a shell string, with its directory, environment and limits.

Plans build commands, and one adapter runs them, so what will be run can be shown (dry run),
tested and recorded without running anything.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Command:
    """One process to run to its end.

    `env` is the whole environment; nothing is inherited. Secrets stand in `env`, never in
    `argv`, because other users of the host can read a process's arguments.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    time_limit_s: float = 60.0
    output_limit_bytes: int = 64 * 1024 * 1024
    stdin: bytes = b""
    yields_by: int = 0
    """How much it steps back for others, in steps of nice(2); 0 steps back for nobody."""
    slot_id: str = ""
    """Whose branch code this is: it runs as that slot's user where there is one. Empty: ours."""
    needs_network: bool = False
    """Whether branch code may reach what the operator lets builds reach."""

    def shown(self) -> str:
        """The command as a person would type it, for logs and dry runs."""
        return shlex.join(self.argv)


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended. `output` is the last part of stdout and stderr, in their order."""

    exit_status: int
    duration_s: float
    output: str
    output_bytes: int
    timed_out: bool = False
    output_limit_reached: bool = False
    cancelled: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether the command ended by itself with status 0 inside its limits."""
        return self.exit_status == 0 and not (
            self.timed_out or self.output_limit_reached or self.cancelled
        )
