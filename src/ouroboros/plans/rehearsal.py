"""How a migration command is rehearsed: in one go, or step by step where the tool allows it.

Alembic is the one tool whose steps can be named without knowing the application: `upgrade +1`
applies one migration and `downgrade -1` takes one back (Alembic's tutorial, relative migration
identifiers). Any other command is run as it is.
"""

from dataclasses import dataclass
from pathlib import PurePath

REHEARSAL = "ouroboros_rehearsal"
"""The database of a rehearsal, and the only role that may enter it."""

_TO_HEAD = {"head", "heads"}


@dataclass(frozen=True, slots=True)
class Steps:
    """The commands of a stepwise rehearsal."""

    one_up: tuple[str, ...]
    one_down: tuple[str, ...]


def plan_steps(argv: tuple[str, ...]) -> Steps | None:
    """The stepwise form of `… alembic … upgrade head`; None for everything else."""
    if not any(PurePath(word).name == "alembic" for word in argv):
        return None
    if len(argv) < 2 or argv[-2] != "upgrade" or argv[-1] not in _TO_HEAD:
        return None
    before = argv[:-2]
    return Steps((*before, "upgrade", "+1"), (*before, "downgrade", "-1"))
