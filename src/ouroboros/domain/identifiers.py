"""Identifiers that come from outside: run ids, versions, refs, commits and branch names.

Each is matched against an allow-list and refused, never cleaned: a name that was repaired is a
name that somebody else may own. Database URLs are judged in `database_url`.
"""

import re

from ouroboros.domain.errors import BadInput

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,199}")
_COMMIT = re.compile(r"[0-9a-f]{40}")

DEFAULT_BRANCH_PREFIX = "codex/run-"


def parse_run_id(text: str) -> str:
    """A run id: a letter or digit, then up to 63 letters, digits or dashes (`invalid_run_id`)."""
    if _RUN_ID.fullmatch(text):
        return text
    raise BadInput(
        "invalid_run_id",
        f"{text[:80]!r} is not a run id",
        "use 1 to 64 letters, digits and dashes, beginning with a letter or digit",
    )


def parse_version(text: str) -> str:
    """A seed or snapshot version (`invalid_version`)."""
    if _VERSION.fullmatch(text):
        return text
    raise BadInput(
        "invalid_version",
        f"{text[:80]!r} is not a seed or snapshot version",
        "use 1 to 63 letters, digits, dots, underscores and dashes, beginning with a letter or "
        "digit",
    )


def is_version(text: str) -> bool:
    """Whether the text is a seed or snapshot version."""
    return _VERSION.fullmatch(text) is not None


def parse_ref(text: str) -> str:
    """A git branch, tag or commit that is safe to name on a command line (`invalid_ref`).

    Narrower than git-check-ref-format(1): no `@`, `~`, `^`, `:`, spaces or leading dash, since a
    ref also stands in logs, pages and file names.
    """
    parts = text.split("/")
    fine = (
        _REF.fullmatch(text)
        and ".." not in text
        and all(part and not part.startswith(".") and not part.endswith(".") for part in parts)
        and not any(part.endswith(".lock") for part in parts)
    )
    if fine:
        return text
    raise BadInput(
        "invalid_ref",
        f"{text[:80]!r} is not a ref that can be published",
        "use a branch or tag of letters, digits and . _ / + -, or a full commit id",
    )


def parse_directory(text: str) -> str:
    """A directory of this host, by its absolute path (`invalid_directory`)."""
    if text.startswith("/") and text.isprintable() and len(text) < 2000:
        return text
    raise BadInput(
        "invalid_directory",
        f"{text[:80]!r} is not the absolute path of a directory",
        "name it whole",
    )


def is_commit_id(text: str) -> bool:
    """Whether the text is a full SHA-1 commit id."""
    return _COMMIT.fullmatch(text) is not None


def branch_of(run_id: str, prefix: str = DEFAULT_BRANCH_PREFIX) -> str:
    """The branch that a run works on unless it names another."""
    return f"{prefix}{run_id}"
