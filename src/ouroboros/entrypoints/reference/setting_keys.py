"""The settings: what each key accepts, from the code, and what it means, from their page."""

import re
from pathlib import Path

from ouroboros.entrypoints.reference.markdown import code, page, rows
from ouroboros.settings import accepted_settings

_ROW = re.compile(r"^\| `(OUROBOROS_[A-Z_]+|SLOT_IDS_CSV)` \| [^|]* \| (.*) \|$", re.MULTILINE)


def read_meanings(document: Path) -> dict[str, str]:
    """What each key means; a test says that every key is there."""
    return dict(_ROW.findall(document.read_text(encoding="utf-8")))


def render_settings(meanings: dict[str, str]) -> str:
    """The page of settings."""
    cells = [
        (code(key), accepted.values, code(accepted.default), _from_here(meanings.get(key, "")))
        for key, accepted in accepted_settings().items()
    ]
    return page(
        "Settings",
        "Every variable that is read, in the order in which it is. Paths are relative to the "
        "checkout. How they work together: [configuration](../configuration.md).",
        [rows(("key", "accepts", "default", "meaning"), cells)],
    )


def _from_here(told: str) -> str:
    """Links of a page above, from this directory."""
    return told.replace("](", "](../")
