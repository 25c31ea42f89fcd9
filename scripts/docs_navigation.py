"""What the site's navigation takes from the directory: an entry that ends with / lists its pages.

Decisions are numbered files that are only ever added, so a list of them would only be forgotten.
"""

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Put the pages of a directory where the navigation names it; MkDocs calls this."""
    config.nav = _expanded(config.nav, Path(config.docs_dir))
    return config


def _expanded(item: Any, docs: Path) -> Any:
    if isinstance(item, list):
        return [_expanded(each, docs) for each in item]
    if isinstance(item, dict):
        return {title: _expanded(each, docs) for title, each in item.items()}
    if item.endswith("/"):
        return [f"{item}{path.name}" for path in sorted((docs / item).glob("*.md"))]
    return item
