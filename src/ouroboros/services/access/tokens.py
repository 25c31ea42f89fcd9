"""Making, listing and ending what people and programs are known by."""

from dataclasses import dataclass
from typing import Any

from ouroboros.adapters.control.tokens import Made, TokenStore
from ouroboros.domain.access import Kind, Principal, Scope, parse_scope
from ouroboros.domain.errors import BadInput, Denied
from ouroboros.domain.identifiers import parse_run_id

LINK_TTL_S = 900
SESSION_TTL_S = 12 * 3600
_LONGEST_TTL_S = 366 * 86400


@dataclass(frozen=True, slots=True)
class Tokens:
    """The use cases with what they need."""

    store: TokenStore

    def create(self, name: str, scope: str, run_id: str | None, ttl_s: int, by: Principal) -> Made:
        """Make a token; its text is shown this once.

        Raises `invalid_token` for a bad name, scope or lifetime, and `scope_missing` when it
        would let its holder do more than whoever asks.
        """
        wanted = parse_scope(scope)
        if wanted is None:
            raise BadInput("invalid_token", f"{scope[:40]!r} is no scope", "read, run or operate")
        if not 1 <= len(name) <= 80 or not name.isprintable():
            raise BadInput("invalid_token", "a name has 1 to 80 printable characters")
        if not 60 <= ttl_s <= _LONGEST_TTL_S:
            raise BadInput("invalid_token", "a token lives between a minute and a year")
        bound = parse_run_id(run_id) if run_id is not None else None
        if bound is not None and wanted is Scope.OPERATE:
            raise BadInput("invalid_token", "a token of a run cannot operate", "use --scope run")
        if wanted > by.scope:
            raise Denied("scope_missing", f"{by.name} cannot give the scope {wanted.word}")
        return self.store.create(name, wanted, bound, ttl_s, by.name)

    def list(self) -> list[dict[str, Any]]:
        """Every token, newest first; never a secret."""
        return self.store.list()

    def revoke(self, token_id: str) -> dict[str, Any]:
        """End a token; may be repeated. Raises `token_not_found`."""
        return self.store.revoke(token_id)

    def make_link(self, name: str, by: Principal) -> Made:
        """Make a link that signs an administrator in, once, within 15 minutes."""
        return self.store.create_link(name, LINK_TTL_S, by.name)

    def sign_in(self, secret: str) -> Made:
        """Exchange a one-time link or an unbound token for a session.

        Raises `link_used` and `token_unknown`.
        """
        if secret.startswith("ourol_"):
            return self.store.use_link(secret, SESSION_TTL_S)
        found = self.store.find(secret, Kind.TOKEN)
        if found is None or found.run_id is not None:
            raise Denied("token_unknown", "this is no token that signs a person in")
        return self.store.create_session(
            found.name, found.scope, SESSION_TTL_S, "token", found.secret_id
        )
