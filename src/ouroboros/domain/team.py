"""A team's own sign-in: what an identity provider vouches for, and what it is worth here.

Pure, so that the rules can be read and checked without a provider.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ouroboros.domain.access import Scope, parse_scope

TEAM_KEYS = ("ISSUER", "CLIENT_ID", "MEMBERS")
"""What a team needs, by the last words of the keys."""

CALLBACK_PATH = "/sign-in/oidc/callback"
_DOMAIN = re.compile(r"@[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Identity:
    """A person as a provider knows them; `email` only when the provider has verified it."""

    subject: str
    name: str
    email: str | None
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class MemberRule:
    """Who of a domain (`@example.com`) or of a group may do how much."""

    who: str
    scope: Scope


@dataclass(frozen=True, slots=True)
class Team:
    """The provider of a team, how this installation is known there, and who may do what."""

    issuer: str
    client_id: str
    members: tuple[MemberRule, ...]
    secret_file: Path | None = None
    """Holds the client's secret; without one, the proof of PKCE stands alone."""
    groups_claim: str = "groups"


def read_team(
    given: Mapping[str, str | None], secret_file: Path | None, groups_claim: str
) -> tuple[Team | None, dict[str, str]]:
    """A team of its keys, or what is wrong with them, each by its name.

    None of them is no team; one of them needs the others.
    """
    missing = [name for name in TEAM_KEYS if given[name] is None]
    if missing:
        some = len(missing) < len(TEAM_KEYS) or secret_file is not None
        return None, {name: "is needed beside the others" for name in missing if some}
    issuer, client_id, members = (str(given[name]) for name in TEAM_KEYS)
    problems = {} if is_safe_address(issuer) else {"ISSUER": "is not an https address"}
    try:
        rules = parse_members(members)
    except ValueError as error:
        return None, problems | {"MEMBERS": str(error)}
    return Team(issuer, client_id, rules, secret_file, groups_claim), problems


def parse_members(text: str) -> tuple[MemberRule, ...]:
    """Read `@example.com=read,operators=operate`; raises `ValueError` saying what is wrong."""
    rules = []
    for item in text.split(","):
        who, _, word = item.strip().rpartition("=")
        scope = parse_scope(word)
        if not who or not who.isprintable() or scope is None:
            raise ValueError(f"{item.strip()[:60]!r} is not @DOMAIN=SCOPE or GROUP=SCOPE")
        if who.startswith("@") and _DOMAIN.fullmatch(who) is None:
            raise ValueError(f"{who[:60]!r} is not @ and a domain in lower case")
        rules.append(MemberRule(who, scope))
    return tuple(rules)


def scope_of(identity: Identity, rules: Iterable[MemberRule]) -> Scope:
    """The widest scope that a rule gives; `NONE` to whom no rule knows.

    A domain is that of a verified address and no other: its subdomains are other domains, and a
    group that is named like one is none.
    """
    known = {group for group in identity.groups if not group.startswith("@")}
    if identity.email:
        known.add(f"@{identity.email.rpartition('@')[2].lower()}")
    return max((rule.scope for rule in rules if rule.who in known), default=Scope.NONE)


def is_safe_address(address: str) -> bool:
    """Whether secrets may be sent there: https, or this very machine."""
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
