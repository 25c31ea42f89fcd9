"""An answer that is ready to be sent, but for its status line and its date.

Apart, because those who make one, who keep it and who send it must not know each other.
"""

from __future__ import annotations

# Up to this size one copy is cheaper than a second buffer for the system to write.
SMALL_BYTES = 16 * 1024
# Up to this size the copy is made ahead and kept, beside the body of the index.
TINY_BYTES = 4 * 1024
# Status; the lines of the head, with the body when it is tiny; another body; the body's size.
Ready = tuple[int, bytes, bytes, int]
# Stands where a ready answer could: the backend answers requests like this one.
PROXIED: Ready = (0, b"", b"", 0)


def make_ready(status: int, lines: bytes, body: bytes) -> Ready:
    """Prepare an answer; `lines` ends with the empty line of the head."""
    if len(body) < TINY_BYTES:
        return status, lines + body, b"", len(body)
    return status, lines, body, len(body)
