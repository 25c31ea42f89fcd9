"""A team's OpenID provider: the way to it, and what comes back proven.

The Authorization Code flow with PKCE (OpenID Connect Core 1.0 section 3.1, RFC 7636, RFC 9700).
Authlib makes the requests and checks the claims, joserfc the signatures; what must hold is said
here, and nothing of it is taken from the provider's answer. Both come with the extra `oidc` and
are imported when somebody signs in.
"""

import secrets
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from ouroboros.domain.errors import Denied, Failed, TooMany, Unhealthy
from ouroboros.domain.team import Identity, Team, is_safe_address

_SIGNATURES = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
               "Ed25519", "EdDSA"]  # fmt: skip
"""Signatures by a key that the provider alone has; never `none`, never the client's secret."""
_TIME_LIMIT_S = 10.0
_LEEWAY_S = 60
_FRESH_S = 3600.0
_AGAIN_S = 30.0
"""Keys are asked for again at most so often, however many unknown ones are named."""
AT_A_TIME = 8
"""So many threads of the API wait for a provider at most."""
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_USERINFO = "userinfo_endpoint"
"""The one that a provider need not have."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that was begun: where the browser goes, and what only this browser keeps."""

    address: str
    state: str
    nonce: str
    verifier: str


class IdentityProvider:
    """One provider; what it publishes about itself is kept for an hour."""

    def __init__(self, team: Team) -> None:
        self._team = team
        self._turns = threading.BoundedSemaphore(AT_A_TIME)
        self._lock = threading.Lock()
        self._metadata: dict[str, Any] = {}
        self._metadata_at_s = float("-inf")
        self._keys: Any = None
        self._keys_at_s = float("-inf")

    def begin(self, redirect_uri: str) -> Begun:
        """Where to send a browser.

        Raises `provider_unreachable`, `oidc_not_installed` and `too_many_requests`.
        """
        state, nonce = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        verifier = secrets.token_urlsafe(48)
        with self._turn(), self._client(redirect_uri) as client:
            address, _ = client.create_authorization_url(
                self._published()["authorization_endpoint"],
                state=state,
                nonce=nonce,
                code_verifier=verifier,
            )
        return Begun(str(address), state, nonce, verifier)

    def redeem(self, code: str, nonce: str, verifier: str, redirect_uri: str) -> Identity:
        """Exchange a code for who has signed in.

        Raises `provider_refused` (a used or foreign code), `identity_not_proven`,
        `provider_unreachable` and `too_many_requests`.
        """
        with self._turn():
            return self._redeemed(code, nonce, verifier, redirect_uri)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let a few ask the provider at a time: one that hangs must not hold every thread."""
        if not self._turns.acquire(blocking=False):
            raise TooMany("too_many_requests", "many sign in at this moment", "wait a few seconds")
        try:
            yield
        finally:
            self._turns.release()

    def _redeemed(self, code: str, nonce: str, verifier: str, redirect_uri: str) -> Identity:
        from authlib.integrations.base_client import OAuthError  # noqa: PLC0415  only in the extra
        from httpx2 import HTTPError  # noqa: PLC0415

        published = self._published()
        with self._client(redirect_uri) as client:
            try:
                token = client.fetch_token(
                    published["token_endpoint"], code=code, code_verifier=verifier
                )
            except OAuthError as error:
                raise _refused(str(error.error)) from error
            except (HTTPError, ValueError) as error:
                raise self._unreachable(error) from error
        claims = self._proven(token, nonce)
        return _identity(self._with_userinfo(claims, token, redirect_uri), self._team.groups_claim)

    def _proven(self, token: dict[str, Any], nonce: str) -> dict[str, Any]:
        """The claims of the ID token, when all of what must hold does."""
        from authlib.oidc.core import CodeIDToken  # noqa: PLC0415
        from joserfc.errors import JoseError  # noqa: PLC0415

        team = self._team
        wanted = {
            "iss": {"essential": True, "value": team.issuer},
            "aud": {"essential": True, "value": team.client_id},
            "nonce": {"essential": True, "value": nonce},
        }
        known = {"nonce": nonce, "client_id": team.client_id,
                 "access_token": token.get("access_token")}  # fmt: skip
        try:
            decoded = self._decoded(str(token.get("id_token", "")))
            claims = CodeIDToken(decoded.claims, decoded.header, wanted, known)
            claims.validate(now=int(time.time()), leeway=_LEEWAY_S)
        except (JoseError, ValueError) as error:
            raise Denied(
                "identity_not_proven",
                f"what the provider answered does not prove who you are: {error}",
                "sign in again; if it stays so, look at the issuer, the client and the clock",
            ) from error
        return dict(claims)

    def _decoded(self, text: str) -> Any:
        from joserfc import jwt  # noqa: PLC0415
        from joserfc.errors import InvalidKeyIdError  # noqa: PLC0415

        try:
            return jwt.decode(text, self._key_set(), algorithms=_SIGNATURES)
        except InvalidKeyIdError:
            # Providers change their keys; the new one is published before it signs.
            return jwt.decode(text, self._key_set(anew=True), algorithms=_SIGNATURES)

    def _with_userinfo(
        self, claims: dict[str, Any], token: dict[str, Any], redirect_uri: str
    ) -> dict[str, Any]:
        """The claims with those that the provider tells only when asked (Core, section 5.3)."""
        endpoint = self._published().get(_USERINFO)
        if {"email", self._team.groups_claim} <= claims.keys() or not endpoint:
            return claims
        with self._client(redirect_uri, token) as client:
            told = self._json(client, endpoint)
        if told.get("sub") != claims["sub"]:
            raise Denied("identity_not_proven", "the provider told of another person")
        return {**told, **claims}

    def _published(self) -> dict[str, Any]:
        """What the provider publishes about itself (OpenID Connect Discovery 1.0)."""
        with self._lock:
            if time.monotonic() - self._metadata_at_s > _FRESH_S:
                issuer = self._team.issuer
                with self._client("") as client:
                    address = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
                    found = self._json(client, address, withhold_token=True)
                unsafe = [key for key in _ENDPOINTS if not is_safe_address(str(found.get(key)))]
                if not is_safe_address(str(found.get(_USERINFO, issuer))):
                    unsafe.append(_USERINFO)
                if found.get("issuer") != issuer or unsafe:
                    raise self._unreachable(ValueError("it is not the issuer it is asked for"))
                self._metadata, self._metadata_at_s = found, time.monotonic()
            return self._metadata

    def _key_set(self, *, anew: bool = False) -> Any:
        from joserfc.jwk import KeySet  # noqa: PLC0415

        address = self._published()["jwks_uri"]
        with self._lock:
            age_s = time.monotonic() - self._keys_at_s
            if age_s > _FRESH_S or (anew and age_s > _AGAIN_S):
                with self._client("") as client:
                    found: Any = self._json(client, address, withhold_token=True)
                self._keys, self._keys_at_s = KeySet.import_key_set(found), time.monotonic()
            return self._keys

    def _client(self, redirect_uri: str, token: dict[str, Any] | None = None) -> Any:
        try:
            from authlib.integrations.httpx_client import OAuth2Client  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise Failed(
                "oidc_not_installed",
                "the libraries for signing in by a provider are not installed",
                "pip install '.[oidc]' in a checkout of Ouroboros",
            ) from error
        team = self._team
        secret = _secret_of(team)
        return OAuth2Client(
            team.client_id,
            secret,
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
            redirect_uri=redirect_uri,
            scope="openid email profile",
            code_challenge_method="S256",
            token=token,
            timeout=_TIME_LIMIT_S,
            verify=_trusted(),
        )

    def _json(self, client: Any, address: str, **how: Any) -> dict[str, Any]:
        from httpx2 import HTTPError  # noqa: PLC0415

        try:
            answer = client.request("GET", address, **how)
            answer.raise_for_status()
            found = answer.json()
        except (HTTPError, ValueError) as error:
            raise self._unreachable(error) from error
        if not isinstance(found, dict):
            raise self._unreachable(ValueError("it does not answer with an object"))
        return found

    def _unreachable(self, error: Exception) -> Unhealthy:
        return Unhealthy(
            "provider_unreachable",
            f"the identity provider {self._team.issuer} does not answer as it should: {error}",
            "sign in by a link meanwhile: ouroboros open --sign-in",
        )


@cache
def _trusted() -> ssl.SSLContext:
    """The authorities that this system trusts, a company's own among them; read once."""
    return ssl.create_default_context()


def _secret_of(team: Team) -> str | None:
    try:
        return team.secret_file.read_text("utf-8").strip() if team.secret_file else None
    except OSError as error:
        raise Failed(
            "oidc_secret_unreadable",
            f"{team.secret_file} cannot be read: {error.strerror}",
            "OUROBOROS_OIDC_SECRET_FILE must be readable for the user of the API",
        ) from error


def _refused(why: str) -> Denied:
    return Denied("provider_refused", f"the identity provider refused: {why[:80]}", "sign in again")


def _identity(claims: dict[str, Any], groups_claim: str) -> Identity:
    """The claims that count; an address counts when the provider has verified it."""
    email = claims.get("email")
    verified = claims.get("email_verified") is True and isinstance(email, str)
    groups = claims.get(groups_claim)
    named = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
    subject = str(claims["sub"])
    name = next(
        (str(claims[key]) for key in ("email", "preferred_username") if claims.get(key)), subject
    )
    return Identity(
        subject,
        "".join(char for char in name if char.isprintable())[:80] or "somebody",
        email if verified else None,
        frozenset(group for group in named if isinstance(group, str)),
    )
