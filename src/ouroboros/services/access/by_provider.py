"""Signing people of a team in by their own provider.

What a sign-in began with is kept by the browser alone, so beginning one leaves nothing here; that
it is used once is PostgreSQL's to say.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from ouroboros.adapters.control.tokens import Made, TokenStore
from ouroboros.adapters.identity_provider import Begun, IdentityProvider
from ouroboros.domain.access import Scope
from ouroboros.domain.errors import Denied
from ouroboros.domain.team import CALLBACK_PATH, Team, scope_of
from ouroboros.services.access.tokens import SESSION_TTL_S


@dataclass(frozen=True, slots=True)
class TeamSignIn:
    """The use cases with what they need."""

    team: Team
    provider: IdentityProvider
    store: TokenStore

    def begin(self, dashboard: str) -> Begun:
        """Begin a sign-in that comes back to the dashboard's address."""
        return self.provider.begin(dashboard + CALLBACK_PATH)

    def finish(self, answered: Mapping[str, str], begun: Mapping[str, str], dashboard: str) -> Made:
        """Make a session of what the provider's answer brought, for the browser that has asked.

        `answered` is the query of the callback, `begun` what the browser has kept. Raises
        `sign_in_interrupted`, `sign_in_used`, `not_a_member`, and what `IdentityProvider.redeem`
        does.
        """
        state = answered.get("state", "")
        if not state or not hmac.compare_digest(state.encode(), begun.get("state", "").encode()):
            raise _interrupted("this answer does not belong to a sign-in that this browser began")
        if answered.get("iss", self.team.issuer) != self.team.issuer:
            # RFC 9207: another provider's answer.
            raise _interrupted("this is the answer of another provider")
        if "error" in answered or "code" not in answered:
            why = answered.get("error", "there is no code")[:80]
            raise Denied(
                "provider_refused", f"the identity provider refused: {why}", "sign in again"
            )
        identity = self.provider.redeem(
            answered["code"], begun["nonce"], begun["verifier"], dashboard + CALLBACK_PATH
        )
        scope = scope_of(identity, self.team.members)
        if scope is Scope.NONE:
            raise Denied(
                "not_a_member",
                f"{identity.name} is known to the provider, but no rule lets them in",
                "whoever runs this adds a rule to OUROBOROS_OIDC_MEMBERS",
            )
        return self.store.create_session_once(state, identity.name, scope, SESSION_TTL_S, "oidc")


def _interrupted(why: str) -> Denied:
    return Denied("sign_in_interrupted", why, "begin again at /sign-in")
