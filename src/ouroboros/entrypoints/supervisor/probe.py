"""One HTTP GET on the loopback address: whether something answers, and which process it is."""

import asyncio
import contextlib
from dataclasses import dataclass

from ouroboros.adapters.listeners import LOOPBACK

_HEAD_LIMIT_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """The status of an answer, and the nonce of the process that gave it, if it told."""

    status: int
    nonce: str | None


async def probe(port: int, path: str, time_limit_s: float = 2.0) -> Answer | None:
    """Ask once; None when nothing (or nothing like HTTP) answers within the limit."""
    with contextlib.suppress(OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(time_limit_s):
            return await _ask(port, path)
    return None


async def _ask(port: int, path: str) -> Answer:
    reader, writer = await asyncio.open_connection(LOOPBACK, port, limit=_HEAD_LIMIT_BYTES)
    try:
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\nUser-Agent: ouroboros-probe\r\n"
            "X-Preview-Probe: 1\r\nConnection: close\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise ValueError("the head of the answer is too long") from error
    finally:
        writer.close()
    lines = head.decode("latin-1").split("\r\n")
    nonce = None
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "x-preview-nonce":
            nonce = value.strip()
    return Answer(int(lines[0].split(" ")[1]), nonce)
