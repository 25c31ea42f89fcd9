"""Shows a release before any visitor sees it: the slot's own surface, on a private port.

Front end and backend of a candidate come together nowhere else: its files wait in the release,
its backend answers on a port of its own. The surface is the one that will serve them, with the
same redirects, headers and `/api`; it listens on a port that the kernel chooses, for as long as
the visit takes.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ouroboros.entrypoints.surface.client import Client
from ouroboros.entrypoints.surface.limits import Limits
from ouroboros.entrypoints.surface.options import Options
from ouroboros.entrypoints.surface.surface import TICK_S, Surface


@asynccontextmanager
async def shown_release(job: Mapping[str, Any], directory: Path) -> AsyncIterator[int]:
    """Serve the job's release until the block ends; gives the port."""
    loop = asyncio.get_running_loop()
    options = Options(
        root=str(_web_root(directory, Path(job["release"]))),
        port=0,
        api_target=f"http://127.0.0.1:{job['api_port']}",
        slot_id=job["slot_id"],
        hosts=frozenset({job["host_name"].encode()}),
    )
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    port: int = listener.getsockname()[1]
    surface = Surface(options, Limits(), loop)
    server = await loop.create_server(lambda: Client(surface), sock=listener)
    ticking = asyncio.ensure_future(_tick(surface))
    try:
        yield port
    finally:
        ticking.cancel()
        server.close()
        surface.close()


def _web_root(directory: Path, release: Path) -> Path:
    """A web root that leads to this release and to nothing else."""
    root, live = directory / "root", directory / "live"
    root.mkdir()
    live.mkdir()
    (root / "live").symlink_to(live)
    (live / "current").symlink_to(release)
    return root


async def _tick(surface: Surface) -> None:
    while True:
        surface.tick()
        await asyncio.sleep(TICK_S)
