"""Who may do what: principals, scopes, and the rule each route is under.

Pure, so that the whole matrix of routes, scopes and foreign runs can be checked without a server.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Literal

from ouroboros.domain.errors import Denied, SignInRequired


class Scope(IntEnum):
    """What a principal may do; each includes the ones before it."""

    NONE = 0
    READ = 1
    """Look at everything that is not a secret."""
    RUN = 2
    """Lease, publish, reset and release: what a run's worker does."""
    OPERATE = 3
    """Everything, also to other runs' slots and to access itself."""

    @property
    def word(self) -> str:
        """The name that is written and read."""
        return self.name.lower()


def parse_scope(text: str) -> Scope | None:
    """The scope of a word that a person may give to a token; None for any other."""
    return {scope.word: scope for scope in Scope if scope}.get(text)


class Kind(StrEnum):
    """How somebody is known."""

    LOCAL = "local"
    """A process of the same OS user (or root) on this machine."""
    BROWSER = "browser"
    """The same, but a browser, which also runs the pages of strangers: it may only look."""
    SESSION = "session"
    TOKEN = "token"  # noqa: S105  a kind, no secret
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks."""

    kind: Kind
    name: str
    scope: Scope = Scope.NONE
    run_id: str | None = None
    """A worker's token is bound to its run: what belongs to another is not there for it."""
    secret_id: str | None = None
    """The token or session it came with."""


NOBODY = Principal(Kind.NOBODY, "nobody")

RunOf = Literal[
    "anything", "nothing", "body", "query", "slot", "publish", "publishes", "path", "signature"
]
"""Where a route names the run that a bound token must be of. `anything`: the route shows nothing
that is a run's own; `nothing`: no bound token may use it; `publishes`: both are of the run.
`signature`: nobody's token or session counts there, but only what the route itself checks of the
request."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route asks of whoever uses it."""

    scope: Scope
    run: RunOf = "nothing"


def require(principal: Principal, rule: Rule) -> None:
    """Raise `sign_in_required` or `scope_missing` unless the scope is enough."""
    if principal.scope >= rule.scope:
        return
    if principal.kind in (Kind.NOBODY, Kind.BROWSER):
        raise SignInRequired(
            "sign_in_required",
            "a browser must sign in to do this"
            if principal.kind is Kind.BROWSER
            else "only those who are known may ask for this",
            "ouroboros open --sign-in makes a link; programs send Authorization: Bearer TOKEN",
        )
    raise Denied(
        "scope_missing",
        f"this needs the scope {rule.scope.word}; {principal.name} has {principal.scope.word}",
        f"ouroboros token create --scope {rule.scope.word} --name WHO",
    )


def require_own(principal: Principal, rule: Rule, run_id: str | None) -> None:
    """Raise `foreign_run` when a bound token asks for what is not its run's.

    `run_id` is the run that the request is about; None when it names none.
    """
    if principal.run_id is None or rule.run == "anything":
        return
    if rule.run == "nothing" or run_id != principal.run_id:
        raise Denied(
            "foreign_run",
            f"{principal.name} is bound to run {principal.run_id}",
            "use a token of that run, or one that is not bound",
        )
