"""Gives the files of a release their compressed siblings, once, before it is switched to.

Apart, because it runs in a publish and not in a surface, which then only chooses among what is
there: `python -m ouroboros.entrypoints.surface.precompress RELEASE/web`. It may be repeated.
"""

from __future__ import annotations

import os
import stat
import sys

from ouroboros.entrypoints.surface import media
from ouroboros.entrypoints.surface.representation import compressed

LEAST_BYTES = 1024
MOST_BYTES = 32 * 1024 * 1024


def precompress(directory: str) -> int:
    """Write a `.gz` beside each file that is worth it and has none; returns how many.

    Raises `OSError`. No symlink is followed, and a file appears under its name only when it is
    whole. gzip alone, because it is what Python 3.11 has; a build's own `.br` and `.zst` are
    served as they are.
    """
    made = 0
    for folder, _, names in os.walk(directory):
        there = set(names)
        for name in names:
            path = os.path.join(folder, name)
            if f"{name}.gz" in there or media.extension(name) not in media.COMPRESSIBLE:
                continue
            status = os.lstat(path)
            if not stat.S_ISREG(status.st_mode):
                continue
            if LEAST_BYTES <= status.st_size <= MOST_BYTES and _write(path):
                made += 1
    return made


def _write(path: str) -> bool:
    with open(path, "rb") as file:
        body = file.read()
    packed = compressed(body)
    if len(packed) > 0.95 * len(body):
        return False
    part = f"{path}.gz.part"
    with open(part, "wb") as file:
        file.write(packed)
    os.replace(part, f"{path}.gz")
    return True


if __name__ == "__main__":
    sys.exit(0 if precompress(sys.argv[1]) >= 0 else 1)
