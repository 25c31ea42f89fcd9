"""Why a request is not served: the one exception of the request path.

Apart, because the grammar, the framing, the proxy and the static side all refuse requests, and
only the client connection knows how to say so on the wire.
"""

from __future__ import annotations


class Refusal(Exception):
    """A request that is answered with an error instead of being served.

    `status` is the HTTP status, `code` a stable machine word, `detail` a sentence for a person.
    `fatal` says that the connection cannot be read any further and is closed after the answer.
    """

    def __init__(self, status: int, code: str, detail: str, *, fatal: bool = True) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.fatal = fatal
