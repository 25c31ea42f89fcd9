"""What an action of the dashboard is: a declared value, and what it is about."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ouroboros.bootstrap import Installation
from ouroboros.domain.access import Principal, Scope

Form = dict[str, str]


@dataclass(frozen=True, slots=True)
class Subject:
    """What an action is about: the slot's and the publish's documents, where there are such."""

    slot: dict[str, Any] | None
    publish: dict[str, Any] | None
    run_id: str = ""
    token_id: str = ""

    @property
    def run(self) -> str:
        """The run that holds the slot, or that is named."""
        return self.run_id or ((self.slot or {}).get("run_id") or "")


@dataclass(frozen=True, slots=True)
class Field:
    """Something an action asks for."""

    name: str
    label: str
    value: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    required: bool = True


def _no_fields(_at: Installation, _subject: Subject) -> list[Field]:
    return []


@dataclass(frozen=True, slots=True)
class Action:
    """One action. `do` returns the page on which its result is seen."""

    name: str
    title: str
    button: str
    consequences: Callable[[Installation, Subject], list[str]]
    do: Callable[[Installation, Subject, Form, Principal], str]
    fields: Callable[[Installation, Subject], list[Field]] = _no_fields
    scope: Scope = Scope.RUN
    destroys: bool = False
