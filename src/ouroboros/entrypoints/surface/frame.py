"""A head that is known but for one value: requests that differ in nothing else.

Traces, clocks and load generators give each request a header of its own, so its bytes never come
twice. Apart from the grammar, because nothing is read here: what stands around the value was read
before, byte for byte, and the value belongs to a field without a meaning for us.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ouroboros.entrypoints.surface.head import FIELD_VALUE
from ouroboros.entrypoints.surface.ready import Ready
from ouroboros.entrypoints.surface.request import CRLF, Request

if TYPE_CHECKING:
    from ouroboros.entrypoints.surface.surface import Surface


class Around:
    """The bytes before and after the value of one header line in a head."""

    __slots__ = ("after", "before")

    def __init__(self, head: bytes, line: bytes) -> None:
        begin = head.index(CRLF + line + CRLF) + 2
        self.before = head[: begin + line.index(b":") + 1]
        self.after = head[begin + len(line) :]


class Frame:
    """What a connection's requests are like; `age` is the surface's when it was made.

    What is prepared holds until the surface grows older: a switch, a drain.
    """

    __slots__ = ("_age", "_from", "_head", "_known", "_passed")

    def __init__(self, head: bytes, line: bytes, age: int, known: Ready | Request) -> None:
        """`head` is a whole head that was accepted, `line` the header line in it that varies.

        `known` is its answer, or the request that was passed on: as it was, others will be.
        """
        self._head = Around(head, line)
        self._from = len(self._head.before)
        self._known = known
        self._passed = self._head
        if isinstance(known, Request) and known.passage is not None:
            self._passed = Around(known.passage[1], line)
        self._age = age

    def known(self, data: bytes, surface: Surface) -> Ready | Request | None:
        """The answer to these bytes, or the request that they are, ready to be passed on.

        None when they are not the same head with another value, and nothing more. A value holds
        no CR and no LF, so no second request can hide in it.
        """
        around = self._head
        end = len(data) - len(around.after)
        if (
            self._age != surface.age
            or len(data) > surface.limits.head_bytes
            or not data.startswith(around.before)
            or not data.endswith(around.after)
            or FIELD_VALUE.fullmatch(data, self._from, end) is None
        ):
            return None
        like = self._known
        if isinstance(like, tuple):
            return like
        made = Request(like.line, like.lines, like.fields, data, repeats=False)
        if like.passage is not None:
            value = data[self._from : end]
            made.passage = (like.passage[0], self._passed.before + value + self._passed.after)
        return made
