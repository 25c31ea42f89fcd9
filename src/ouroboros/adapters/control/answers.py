"""Answers kept for requests that may come again: idempotency keys.

A key belongs to whoever sent it. A second request with the key of one that is still at work is
told so; one with the same key and another content is refused. After a day a key is forgotten.
"""

from dataclasses import dataclass

from ouroboros.adapters.control.connection import ControlPool, control
from ouroboros.domain.errors import BadInput, Refused

_BEGIN = """
    INSERT INTO kept_answers (who, key, request) VALUES (%(who)s, %(key)s, %(request)s)
    ON CONFLICT (who, key) DO NOTHING RETURNING key
"""
_FIND = "SELECT * FROM kept_answers WHERE who = %(who)s AND key = %(key)s"
_KEEP = """
    UPDATE kept_answers SET status = %(status)s, media_type = %(media_type)s, body = %(body)s
    WHERE who = %(who)s AND key = %(key)s
"""
_DROP = "DELETE FROM kept_answers WHERE who = %(who)s AND key = %(key)s AND status IS NULL"
_FORGET = """
    DELETE FROM kept_answers WHERE begun_at < clock_timestamp() - interval '1 day'
        OR (status IS NULL AND begun_at < clock_timestamp() - interval '1 hour')
"""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer as it was given the first time."""

    status: int
    media_type: str
    body: bytes


class AnswerStore:
    """The answers to requests that carried an idempotency key."""

    def __init__(self, pool: ControlPool) -> None:
        self._pool = pool

    def begin(self, who: str, key: str, request: bytes) -> KeptAnswer | None:
        """Claim a key for a request with this digest; the answer when it was given before.

        Raises `idempotency_key_in_use` while the first is at work, and `idempotency_key_reused`
        when the first asked for something else.
        """
        values = {"who": who, "key": key, "request": request}
        with control(self._pool) as db:
            db.execute(_FORGET)
            if db.execute(_BEGIN, values).fetchone() is not None:
                return None
            row = db.execute(_FIND, values).fetchone()
        if row is None or (row["status"] is None and row["request"] == request):
            raise Refused(
                "idempotency_key_in_use",
                "the first request with this key is still at work",
                "ask again when it has ended",
            )
        if row["request"] != request:
            raise BadInput(
                "idempotency_key_reused",
                "this key was used for another request",
                "use a new key for each request",
            )
        return KeptAnswer(row["status"], row["media_type"], row["body"])

    def keep(self, who: str, key: str, answer: KeptAnswer) -> None:
        """Keep the answer to a claimed key."""
        values = {"status": answer.status, "media_type": answer.media_type, "body": answer.body}
        with control(self._pool) as db:
            db.execute(_KEEP, {"who": who, "key": key, **values})

    def drop(self, who: str, key: str) -> None:
        """Give a claimed key back: the request may be tried again."""
        with control(self._pool) as db:
            db.execute(_DROP, {"who": who, "key": key})
