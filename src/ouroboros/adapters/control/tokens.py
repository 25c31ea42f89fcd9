"""Tokens, sessions and sign-in links in PostgreSQL: made, recognised, ended.

A secret is shown once, when it is made. What is kept is its SHA-256; the text names its row, so
that looking one up tells nothing by its time.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any

from ouroboros.adapters.control.connection import ControlPool, control, transaction
from ouroboros.domain.access import Kind, Principal, Scope, parse_scope
from ouroboros.domain.errors import Denied, NotFound

_PREFIXES = {"token": "ouro", "session": "ouros", "link": "ourol"}
_KINDS = {"token": Kind.TOKEN, "session": Kind.SESSION}
_LONGEST = 120

_ADD = """
    INSERT INTO tokens (token_id, kind, digest, name, scope, run_id, parent_id, created_by,
        expires_at)
    VALUES (%(token_id)s, %(kind)s, %(digest)s, %(name)s, %(scope)s, %(run_id)s, %(parent_id)s,
        %(created_by)s, clock_timestamp() + make_interval(secs => %(ttl_s)s))
    RETURNING token_id, kind, name, scope, run_id, created_at, created_by, expires_at
"""
_FIND = """
    SELECT t.* FROM tokens t LEFT JOIN tokens p ON p.token_id = t.parent_id
    WHERE t.token_id = %(token_id)s AND t.kind = ANY(%(kinds)s)
        AND t.ended_at IS NULL AND t.expires_at > clock_timestamp()
        AND (t.parent_id IS NULL OR p.ended_at IS NULL AND p.expires_at > clock_timestamp())
"""
_TOUCH = """
    UPDATE tokens SET last_used_at = clock_timestamp() WHERE token_id = %(token_id)s
        AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute')
"""
_LIST = """
    SELECT token_id, name, scope, run_id, created_at, created_by, expires_at, last_used_at,
        ended_at, (ended_at IS NULL AND expires_at > clock_timestamp()) AS valid
    FROM tokens WHERE kind = 'token' ORDER BY created_at DESC, token_id LIMIT 500
"""
_END = """
    UPDATE tokens SET ended_at = coalesce(ended_at, clock_timestamp())
    WHERE token_id = %(token_id)s AND kind = ANY(%(kinds)s) RETURNING token_id, name, scope, run_id
"""
_USE_LINK = """
    UPDATE tokens SET ended_at = clock_timestamp(), last_used_at = clock_timestamp()
    WHERE token_id = %(token_id)s AND kind = 'link' AND digest = %(digest)s AND ended_at IS NULL
        AND expires_at > clock_timestamp() RETURNING name
"""
_USE_SIGN_IN = """
    INSERT INTO used_sign_ins (digest) VALUES (%(digest)s) ON CONFLICT DO NOTHING RETURNING digest
"""
_FORGET_SIGN_INS = """
    DELETE FROM used_sign_ins WHERE used_at < clock_timestamp() - interval '1 day'
"""
_FORGET = """
    DELETE FROM tokens WHERE kind <> 'token' AND expires_at < clock_timestamp() - interval '1 day'
"""


@dataclass(frozen=True, slots=True)
class Made:
    """A new token: its text, which is not kept, and what is recorded of it."""

    text: str
    row: dict[str, Any]


class TokenStore:
    """The tokens, sessions and sign-in links of this control plane."""

    def __init__(self, pool: ControlPool) -> None:
        self._pool = pool

    def create(
        self, name: str, scope: Scope, run_id: str | None, ttl_s: int, created_by: str
    ) -> Made:
        """Make a token for programs; its text is in the answer and nowhere else."""
        return self._add("token", name, scope, run_id=run_id, ttl_s=ttl_s, created_by=created_by)

    def create_link(self, name: str, ttl_s: int, created_by: str) -> Made:
        """Make a link that signs one person in, once."""
        return self._add(
            "link", name, Scope.OPERATE, run_id=None, ttl_s=ttl_s, created_by=created_by
        )

    def create_session(
        self, name: str, scope: Scope, ttl_s: int, created_by: str, parent_id: str | None = None
    ) -> Made:
        """Make a browser's session; one made with a token, its parent, ends with that."""
        return self._add(
            "session",
            name,
            scope,
            run_id=None,
            ttl_s=ttl_s,
            created_by=created_by,
            parent_id=parent_id,
        )

    def create_session_once(
        self, once: str, name: str, scope: Scope, ttl_s: int, created_by: str
    ) -> Made:
        """Make a session of a sign-in, whose text `once` makes no second one.

        Raises `sign_in_used`.
        """
        with transaction(self._pool) as db:
            db.execute(_FORGET_SIGN_INS)
            if db.execute(_USE_SIGN_IN, {"digest": _digest(once)}).fetchone() is None:
                raise Denied("sign_in_used", "this sign-in was used", "begin again at /sign-in")
        return self.create_session(name, scope, ttl_s, created_by)

    def use_link(self, text: str, ttl_s: int) -> Made:
        """Exchange a link for a session; raises `link_used` for one that is used up or unknown."""
        with transaction(self._pool) as db:
            values = {"token_id": _id_of(text, "link"), "digest": _digest(text)}
            row = db.execute(_USE_LINK, values).fetchone()
        if row is None:
            raise Denied(
                "link_used",
                "this link was used, has expired, or was never made",
                "ouroboros open --sign-in makes a new one",
            )
        return self.create_session(row["name"], Scope.OPERATE, ttl_s, "link")

    def find(self, text: str, kind: str) -> Principal | None:
        """Who a token's (`token`) or session's (`session`) text stands for; None when nobody."""
        token_id = _id_of(text, kind)
        with control(self._pool) as db:
            row = db.execute(_FIND, {"token_id": token_id, "kinds": [kind]}).fetchone()
            if row is None or not hmac.compare_digest(row["digest"], _digest(text)):
                return None
            db.execute(_TOUCH, {"token_id": token_id})
        scope = parse_scope(row["scope"]) or Scope.NONE
        return Principal(_KINDS[kind], row["name"], scope, row["run_id"], token_id)

    def is_valid(self, token_id: str) -> bool:
        """Whether a token or session has neither ended nor expired, and its parent has not."""
        with control(self._pool) as db:
            values = {"token_id": token_id, "kinds": list(_KINDS)}
            return db.execute(_FIND, values).fetchone() is not None

    def list(self) -> list[dict[str, Any]]:
        """Every token, newest first, also those that ended; never a secret."""
        with control(self._pool) as db:
            return db.execute(_LIST).fetchall()

    def revoke(self, token_id: str) -> dict[str, Any]:
        """End a token; may be repeated. Raises `token_not_found`."""
        return self._end(token_id, "token")

    def end_session(self, session_id: str) -> None:
        """Sign out; may be repeated."""
        self._end(session_id, "session")

    def _end(self, token_id: str, kind: str) -> dict[str, Any]:
        with control(self._pool) as db:
            row = db.execute(_END, {"token_id": token_id, "kinds": [kind]}).fetchone()
        if row is None:
            raise NotFound(
                "token_not_found", f"there is no token {token_id[:40]!r}", "ouroboros token list"
            )
        return row

    def _add(
        self,
        kind: str,
        name: str,
        scope: Scope,
        *,
        run_id: str | None,
        ttl_s: int,
        created_by: str,
        parent_id: str | None = None,
    ) -> Made:
        token_id = base64.b32encode(secrets.token_bytes(5)).decode().lower()
        text = f"{_PREFIXES[kind]}_{token_id}_{secrets.token_urlsafe(32)}"
        values = {
            "token_id": token_id,
            "kind": kind,
            "digest": _digest(text),
            "name": name,
            "scope": scope.word,
            "run_id": run_id,
            "parent_id": parent_id,
            "created_by": created_by,
            "ttl_s": ttl_s,
        }
        with transaction(self._pool) as db:
            db.execute(_FORGET)
            row = db.execute(_ADD, values).fetchone()
        return Made(text, row or {})


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _id_of(text: str, kind: str) -> str:
    """The row that a text names; an empty name, which no row has, for what is no such text."""
    parts = text.split("_", 2)
    fine = len(text) <= _LONGEST and len(parts) == 3 and parts[0] == _PREFIXES[kind]
    return parts[1] if fine and parts[1].isascii() and parts[1].isalnum() else ""
