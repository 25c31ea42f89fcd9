"""Passes to protected previews: what a visitor who gave the password carries from then on.

A pass is made from the slot's password, so it needs no record, holds for one slot only, and ends
with the password. The password is 192 random bits, which need no slow hash.
"""

import hashlib
import hmac

from ouroboros.domain.slot import Slot

COOKIE = "ouroboros_preview"
"""The cookie that holds a pass; the router takes it away before the application sees it."""
HEADER = "X-Preview-Token"
"""Where programs show the password itself."""
SIGN_IN = "/.ouroboros/sign-in"
"""Where the password is given, on the preview's own host; no application gets this path."""
GATE = "/preview-gate/"
"""Where the router asks the API, followed by the slot's id."""
PASS_TTL_S = 7 * 86400


def make_pass(slot: Slot, password: str, now: float) -> str:
    """A pass of a week."""
    until = str(int(now) + PASS_TTL_S)
    return f"{until}.{_seal(slot, password, until)}"


def is_pass(slot: Slot, password: str, text: str, now: float) -> bool:
    """Whether this is a pass to the slot that has not ended."""
    until, _, seal = text.partition(".")
    if not (until.isascii() and until.isdigit() and len(until) <= 12):
        return False
    return is_same(seal, _seal(slot, password, until)) and int(until) > now


def is_same(given: str, wanted: str) -> bool:
    """Compare two secrets in a time that tells nothing of them."""
    return hmac.compare_digest(given.encode(), wanted.encode())


def local_target(text: str) -> str:
    """Where a visitor goes after signing in: a path of the same host, or its beginning."""
    sound = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if sound and text.isascii() and not text.startswith(SIGN_IN) else "/"


def _seal(slot: Slot, password: str, until: str) -> str:
    return hmac.new(password.encode(), f"{slot.id} {until}".encode(), hashlib.sha256).hexdigest()
