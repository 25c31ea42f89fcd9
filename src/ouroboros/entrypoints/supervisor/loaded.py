"""The release before the live one, kept loaded: its application is imported and serves nothing.

Most of a start is importing the application, so a rollback to a loaded release takes a fraction of
a second on any machine. It is apart from the backend that serves because it must never matter to
it: whatever becomes of a loaded process, a release can be started anew.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import replace

from ouroboros.domain.errors import PreviewError
from ouroboros.entrypoints.supervisor.candidate import start_candidate
from ouroboros.entrypoints.supervisor.children import Children
from ouroboros.entrypoints.supervisor.serving import NONCE, Serving, is_same
from ouroboros.ports import BackendSpec
from ouroboros.services.binding import LAUNCHERS

_GO = b"1"


class LoadedRelease:
    """At most one process of a slot, which waits to become a candidate."""

    def __init__(
        self, children: Children, changed: Callable[[], None], after_s: float, keep_s: float
    ) -> None:
        self._children = children
        self._changed = changed
        self._after_s = after_s
        self._keep_s = keep_s
        self._keeper: asyncio.Task[None] | None = None
        self._serving: Serving | None = None
        self._starter: socket.socket | None = None

    @property
    def publish_id(self) -> str | None:
        """Whose release is loaded, or being loaded; None when none is."""
        serving = self._serving
        return serving.spec.publish_id if serving is not None and serving.alive else None

    def keep(self, spec: BackendSpec, public: socket.socket) -> None:
        """Load a release in a moment if it can wait, and end it when it was kept long enough.

        There must be none; `public` must be open until `take` or `end`.
        """
        if self._keep_s and can_wait(spec):
            self._keeper = asyncio.create_task(self._keep(spec, public))

    async def take(self, spec: BackendSpec) -> Serving | None:
        """Let the loaded process serve on its private port, if it runs this very specification.

        It is ended if it does not, and None is returned: there is none any more in either case.
        """
        serving, starter = self._serving, self._starter
        if serving is None or starter is None or not is_same(spec, serving.spec):
            await self.end()
            return None
        self._serving = self._starter = None
        await self.end()
        with starter, contextlib.suppress(OSError):
            starter.send(_GO)
        serving.begin(spec)
        return serving if serving.alive else None

    async def end(self) -> None:
        """End the process, if there is one; it has nothing that could be lost."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait((keeper,))
        serving, self._serving = self._serving, None
        starter, self._starter = self._starter, None
        if starter is not None:
            starter.close()
        if serving is not None:
            await _end(serving)

    async def _keep(self, spec: BackendSpec, public: socket.socket) -> None:
        await asyncio.sleep(self._after_s)
        try:
            serving, self._starter = await self._load(spec, public)
        except (PreviewError, OSError):
            return  # a rollback starts it anew, and tells what is wrong
        self._serving = serving
        self._changed()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(serving.child.gone.wait(), self._keep_s)
        await _end(serving)
        self._changed()

    async def _load(
        self, spec: BackendSpec, public: socket.socket
    ) -> tuple[Serving, socket.socket]:
        env = {key: value for key, value in spec.env.items() if key != NONCE}
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                waiting = replace(spec, env=env)
                return await start_candidate(waiting, self._children, public, theirs), ours
        except BaseException:
            ours.close()
            raise


async def _end(serving: Serving) -> None:
    serving.child.process.kill()
    await serving.child.gone.wait()


def can_wait(spec: BackendSpec) -> bool:
    """Whether a backend can be imported and not started: our launcher of ASGI applications can."""
    return str(LAUNCHERS / "asgi.py") in spec.argv
