"""Documents for jsonb columns: whatever branch code said, in a form that PostgreSQL can hold."""

import math
from collections.abc import Mapping
from typing import Any

from psycopg.types.json import Jsonb


def jsonb(document: Mapping[str, Any]) -> Jsonb:
    """A jsonb value; what jsonb refuses (NUL, lone surrogates, NaN) is shown as text."""
    return Jsonb(_plain(document))


def _plain(value: object) -> object:
    match value:
        case Mapping():
            return {str(_plain(str(key))): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case float() if not math.isfinite(value):
            return str(value)
        case None | bool() | int() | float():
            return value
        case _:
            text = str(value).encode("utf-8", "backslashreplace").decode("utf-8")
            return text.replace("\0", "\\x00")
