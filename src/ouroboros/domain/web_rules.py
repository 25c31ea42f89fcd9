"""What an application tells its web surface: redirects, header lines, paths of the backend.

Apart from the application, as a small language that people know from Netlify (`from`, `to`, `for`)
and Vercel (`source`, `destination`). It comes from branch code and is matched against every
request, so it is narrower than theirs: a pattern is made of whole segments, and nothing of it can
be slow to match.
"""

import re
from dataclasses import dataclass
from typing import Any

from ouroboros.domain.strict_table import StrictTable

API_PREFIX = "/api"
RULES = 200
REDIRECT_STATUSES = frozenset((301, 302, 303, 307, 308))
REWRITE_STATUSES = frozenset((200, 404, 410))
# A literal segment, `:name`, or `*` (`:name*`) as the last one.
_SEGMENT = r"[A-Za-z0-9!$&'()+,;=@._~%-]*"
_PATTERN = re.compile(
    rf"(?:/(?:{_SEGMENT}|:[A-Za-z_]\w{{0,40}}))*?(?:/(?:\*|:[A-Za-z_]\w{{0,40}}\*))?"
)
_NAMES = re.compile(r"/:([A-Za-z_]\w*)")
_TARGET = re.compile(r"(?:/|https?://[A-Za-z0-9.\[\]:-]+(?:/|$))[!-~]*")
_USED = re.compile(r"(?<=[/=]):([A-Za-z_]\w*)")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_FIELD_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_FIELD_VALUE = re.compile(r"[\t -~]*")
_OWN_PATHS = ("/health", "/__preview")
# These belong to the connection, or say what the surface itself vouches for.
RESERVED_FIELDS = frozenset(
    ("connection", "content-length", "transfer-encoding", "content-encoding", "content-range",
     "trailer", "upgrade", "keep-alive", "te", "date", "etag", "x-request-id", "x-preview-slot",
     "x-preview-run", "x-preview-commit", "x-preview-publish", "x-preview-data")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RedirectRule:
    """Requests that match `source` go to `target`; 200, 404 and 410 show a file instead."""

    source: str
    target: str
    status: int = 301
    force: bool = False

    def document(self) -> dict[str, Any]:
        """As release.json holds it."""
        return {"from": self.source, "to": self.target, "status": self.status, "force": self.force}


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """Header lines for the answers to requests that match `source`."""

    source: str
    values: tuple[tuple[str, str], ...]

    def document(self) -> dict[str, Any]:
        """As release.json holds it."""
        return {"for": self.source, "values": dict(self.values)}


def read_prefixes(backend: StrictTable) -> tuple[str, ...]:
    """Read `proxy` of the backend: path prefixes beside `/api`, each without a slash at its end."""
    prefixes = backend.strings("proxy")
    for prefix in prefixes:
        if _PREFIX.fullmatch(prefix) is None or "/.." in prefix or "/./" in f"{prefix}/":
            backend.problem("proxy", f"{prefix!r} is not a path like /graphql")
        elif prefix.startswith(_OWN_PATHS):
            backend.problem("proxy", f"{prefix!r} is answered by the surface itself")
    return tuple(prefix for prefix in prefixes if prefix != API_PREFIX)


def read_redirect_rules(root: StrictTable) -> tuple[RedirectRule, ...]:
    """Read `[[redirects]]`; the first rule that matches wins."""
    return tuple(_redirect(table) for table in _bounded(root, "redirects"))


def read_header_rules(root: StrictTable) -> tuple[HeaderRule, ...]:
    """Read `[[headers]]`; all rules that match hold, the last one of a name wins."""
    return tuple(_header(table) for table in _bounded(root, "headers"))


def _bounded(root: StrictTable, key: str) -> list[StrictTable]:
    tables = root.tables(key)
    if len(tables) > RULES:
        root.problem(key, f"has more than {RULES} rules")
    return tables[:RULES]


def _redirect(table: StrictTable) -> RedirectRule:
    source = _pattern(table, "from", "source")
    key = "destination" if table.has("destination") else "to"
    target = table.text(key, "")
    if _TARGET.fullmatch(target) is None:
        table.problem(key, "is not a path or an http address")
    unknown = set(_USED.findall(target)) - set(_NAMES.findall(source)) - {"splat"}
    if "splat" in _USED.findall(target) and not source.endswith("/*"):
        unknown.add("splat")
    for name in sorted(unknown):
        table.problem(key, f"uses :{name}, which is not in the pattern")
    status = _status(table)
    if status in REWRITE_STATUSES and not target.startswith("/"):
        table.problem(key, "is another site, which needs a redirect (301, 302, 303, 307, 308)")
    rule = RedirectRule(source, target, status, table.flag("force", default=False))
    table.finish()
    return rule


def _status(table: StrictTable) -> int:
    """Netlify's `status` (301 without one) or Vercel's `statusCode` and `permanent`."""
    if table.has("permanent"):
        if table.has("status") or table.has("statusCode"):
            table.problem("permanent", "says with a status the same thing twice")
        return 308 if table.flag("permanent", default=False) else 307
    key = "statusCode" if table.has("statusCode") else "status"
    status = table.number(key, 307 if table.has("source") else 301)
    if status not in REDIRECT_STATUSES | REWRITE_STATUSES:
        known = ", ".join(map(str, sorted(REDIRECT_STATUSES | REWRITE_STATUSES)))
        table.problem(key, f"is none of {known}")
    return status


def _header(table: StrictTable) -> HeaderRule:
    source = _pattern(table, "for", "source")
    if table.has("headers"):
        pairs = []
        for item in table.tables("headers"):
            pairs.append((item.text("key", ""), item.text("value", "")))
            item.finish()
        key = "headers"
    else:
        key = "values"
        pairs = list(table.take(key, dict, {}).items())
    if not pairs:
        table.problem(key, "names no header")
    for name, value in pairs:
        if not _FIELD_NAME.fullmatch(name):
            table.problem(f"{key}.{name}", "is not the name of a header")
        elif name.lower() in RESERVED_FIELDS:
            table.problem(f"{key}.{name}", "is set by the surface and cannot be changed")
        elif not isinstance(value, str) or not _FIELD_VALUE.fullmatch(value):
            table.problem(f"{key}.{name}", "is not a string of printable ASCII")
    table.finish()
    return HeaderRule(source, tuple((name, str(value)) for name, value in pairs))


def _pattern(table: StrictTable, own: str, other: str) -> str:
    key = other if table.has(other) else own
    source = table.text(key, "")
    names = _NAMES.findall(source)
    if not source.startswith("/") or _PATTERN.fullmatch(source) is None or len(source) > 1000:
        table.problem(key, "is not a path of segments, :name segments and a * at the end")
    elif len(set(names)) < len(names) or "splat" in names:
        table.problem(key, "has a name twice")
    return source
