"""Templates: from what a database state is made, and the mark that says so on every database.

A template's name follows from a hash of everything that decides its contents, so one name is one
state. The mark is kept as the comment of the database (it survives a rename, and dies with the
database), so what a database is can be told without a second record that might disagree.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ouroboros.domain.reset import Source, Strategy

TEMPLATE_PREFIX = "ouroboros_tpl_"
_MARK_VERSION = 1


@dataclass(frozen=True, slots=True)
class TableDigest:
    """What a table holds: its number of rows and a digest of them in a fixed order."""

    rows: int
    digest: str


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A logical fingerprint: equal for equal states, whatever the OIDs and physical order."""

    schema: str
    sequences: str
    tables: Mapping[str, TableDigest]

    @property
    def whole(self) -> str:
        """One digest over schema, sequences and data."""
        parts = [self.schema, self.sequences]
        parts += [f"{name} {self.tables[name].digest}" for name in sorted(self.tables)]
        return digest_of("\n".join(parts))

    def document(self) -> dict[str, Any]:
        """The fingerprint as JSON."""
        return {
            "fingerprint": self.whole,
            "schema": self.schema,
            "sequences": self.sequences,
            "tables": {name: asdict(table) for name, table in sorted(self.tables.items())},
        }


def read_fingerprint(document: Mapping[str, Any]) -> Fingerprint:
    """Read a fingerprint from its JSON form."""
    tables = {name: TableDigest(**table) for name, table in document["tables"].items()}
    return Fingerprint(document["schema"], document["sequences"], tables)


@dataclass(frozen=True, slots=True)
class Mark:
    """What a database is, as its comment says.

    `template` is the template it was cloned from (its own name on a template), `fingerprint` the
    whole fingerprint of that state, `reset_id` the reset that put it behind a slot's name.
    `migrations` is a digest of the migrations it has seen since, `fence` on a checkpoint the lease
    it was taken under. `further` holds more about a template (fingerprint by table, size of the
    source, warnings) and about a checkpoint.
    """

    template: str
    source: Source
    content: str
    fingerprint: str
    made_at: str
    reset_id: int | None = None
    migrations: str | None = None
    fence: int | None = None
    further: Mapping[str, Any] = field(default_factory=dict)

    def for_clone(self, made_at: str) -> "Mark":
        """The mark of a clone of this template."""
        return replace(self, made_at=made_at, reset_id=None, further={})

    def text(self) -> str:
        """The comment."""
        source = {"strategy": str(self.source.strategy), "version": self.source.version}
        document = {
            "ouroboros": _MARK_VERSION,
            "template": self.template,
            "source": source,
            "content": self.content,
            "fingerprint": self.fingerprint,
            "made_at": self.made_at,
            "reset_id": self.reset_id,
            **({"migrations": self.migrations} if self.migrations else {}),
            **({"fence": self.fence} if self.fence else {}),
            **({"further": dict(self.further)} if self.further else {}),
        }
        return json.dumps(document, sort_keys=True)


def read_mark(comment: str | None) -> Mark | None:
    """Read a comment; None for one that is not ours, which then counts as an unknown state."""
    try:
        document = json.loads(comment or "")
        if document["ouroboros"] != _MARK_VERSION:
            return None
        return Mark(
            template=document["template"],
            source=Source(Strategy(document["source"]["strategy"]), document["source"]["version"]),
            content=document["content"],
            fingerprint=document["fingerprint"],
            made_at=document["made_at"],
            reset_id=document["reset_id"],
            migrations=document.get("migrations"),
            fence=document.get("fence"),
            further=document.get("further", {}),
        )
    except (ValueError, KeyError, TypeError):
        return None


def template_name(source: Source, content: str, server: str) -> str:
    """The name of the template of a source.

    `content` is the SHA-256 of the file (or of nothing), `server` names everything of the server
    that can change the result: its major version and the versions of its extensions.
    """
    key = "\n".join([str(source.strategy), source.version or "", content, server])
    return TEMPLATE_PREFIX + digest_of(key)[:20]


def digest_of(text: str) -> str:
    """SHA-256 as hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()
