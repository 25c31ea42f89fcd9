"""Secrets in text that others will read: each becomes `***`, also when it comes in two pieces."""

import re
from collections.abc import Iterable
from urllib.parse import quote

MASK = "***"
_SHORTEST = 4
"""A shorter secret would mask half of an innocent text; nobody generates one."""


class SecretMask:
    """Masks one stream of text, and holds back only what may be the beginning of a secret."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {secret for secret in secrets if len(secret) >= _SHORTEST}
        known |= {quote(secret, safe="") for secret in known}
        self._secrets = sorted(known, key=len, reverse=True)
        self._any = re.compile("|".join(map(re.escape, self._secrets)) or r"(?!)")
        self._held = ""

    def feed(self, text: str) -> str:
        """The masked text of what has come, without an end that may begin a secret."""
        text = self._held + text
        cut = len(text) - self._unsure(text)
        for found in self._any.finditer(text):
            if found.start() < cut:  # a whole secret is not held back for what may follow it
                cut = max(cut, found.end())
        self._held = text[cut:]
        return self._any.sub(MASK, text[:cut])

    def finish(self) -> str:
        """What was held back, masked: no longer secret than those in it comes any more."""
        held, self._held = self._held, ""
        return self._any.sub(MASK, held)

    def mask(self, text: str) -> str:
        """A whole text, masked."""
        return self._any.sub(MASK, text)

    def _unsure(self, text: str) -> int:
        """The length of the longest end of the text that a secret begins with."""
        longest = 0
        for secret in self._secrets:
            for length in range(min(len(secret) - 1, len(text)), longest, -1):
                if text.endswith(secret[:length]):
                    longest = length
                    break
        return longest
