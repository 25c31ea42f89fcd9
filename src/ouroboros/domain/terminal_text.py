"""Text that a command printed, made fit to be shown: colours stay, everything else that drives a
terminal goes.

Output of branch code is hostile: OSC 52 writes a clipboard, OSC 8 hides where a link leads, a
cursor movement rewrites what stood above. Kept are characters, tabs, line ends and SGR sequences
(ECMA-48, 8.3.117); a lone carriage return becomes a line end, since it would overwrite its line.
"""

import codecs
import re

_COLOUR = r"\x1b\[[0-9;:]{0,32}m"
_BODY = r"[^\x07\x1b\n\x80-\x9f]*"
_UNWANTED = re.compile(
    rf"({_COLOUR})"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    rf"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f]){_BODY}(?:\x07|\x9c|\x1b\\|(?=\n))"
    r"|\x1b[ -/]*[0-~]"
    r"|(\r\n?)"
    # The rest of C0 and C1, and what turns the direction of the text around it.
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)
_UNFINISHED = re.compile(
    rf"(?:(?:\x1b\[|\x9b)[0-?]*[ -/]*|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f]){_BODY}\x1b?"
    r"|\x1b[ -/]*)\Z"
)
_LONGEST_UNFINISHED = 4096
_COLOURS = re.compile(_COLOUR)

PLAIN = "\x1b[0m"
"""The sequence that ends all colours."""


class TerminalText:
    """Cleans one stream of bytes, whatever it is cut into."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._after_return = False

    def feed(self, data: bytes, *, last: bool = False) -> str:
        """The clean text of what has come; a sequence that is not whole yet waits.

        With `last` nothing waits any more. A sequence that does not end within 4096 characters
        loses its beginning and is shown as text, so it can never swallow what follows.
        """
        text = self._held + self._decoder.decode(data, final=last)
        self._held = ""
        if not last and (
            found := _UNFINISHED.search(text, max(0, len(text) - _LONGEST_UNFINISHED))
        ):
            self._held, text = found.group(), text[: found.start()]
        if self._after_return and text:
            text, self._after_return = text.removeprefix("\n"), False
        # What follows a return at the end decides whether it was half of a line end.
        self._after_return = text.endswith("\r") or (self._after_return and not text)
        return _UNWANTED.sub(_kept, text)


def without_colours(text: str) -> str:
    """The text alone."""
    return _COLOURS.sub("", text)


def _kept(found: re.Match[str]) -> str:
    if found.group(1) is not None:
        return found.group(1)
    return "\n" if found.group(2) is not None else ""
