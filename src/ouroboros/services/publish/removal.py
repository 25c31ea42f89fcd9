"""Removing what is not needed any more, where one that stays must not keep the others."""

from pathlib import Path

import structlog

from ouroboros.adapters.release_files import remove_tree

_log = structlog.get_logger("collect")


def remove_or_tell(tree: Path) -> bool:
    """Remove a tree; returns whether it is gone, and logs why it is not."""
    try:
        remove_tree(tree)
    except FileNotFoundError:
        return True  # another collection removes it
    except OSError as error:
        _log.error("not removed", tree=str(tree), error=repr(error))
        return False
    return True
