"""Whether who opened a stream may go on reading it: a token or session may end meanwhile."""

import time

from anyio.to_thread import run_sync
from fastapi import Request

from ouroboros.adapters.control.tokens import TokenStore
from ouroboros.domain.access import Principal
from ouroboros.domain.errors import PreviewError

_LOOK_EVERY_S = 30.0


class Admission:
    """Asked before each part of a stream; looks at the record once in a while."""

    def __init__(self, request: Request) -> None:
        principal: Principal = request.state.principal
        self._tokens: TokenStore = request.app.state.installation.tokens.store
        self._secret_id = principal.secret_id
        self._looked_at = time.monotonic()

    async def holds(self) -> bool:
        """Whether to go on; while PostgreSQL is away, yes."""
        if self._secret_id is None or time.monotonic() < self._looked_at + _LOOK_EVERY_S:
            return True
        self._looked_at = time.monotonic()
        try:
            return await run_sync(self._tokens.is_valid, self._secret_id)
        except PreviewError:
            return True
