"""The unix socket that clients talk to: one JSON line each way.

Bounded in connections, size and patience: a client that sends garbage, too much or nothing at
all gets an error or a closed connection, and the others are served.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from ouroboros.adapters.supervisor_client import MESSAGE_LIMIT_BYTES, write_error
from ouroboros.adapters.unix_sockets import listen_unix
from ouroboros.domain.errors import BadInput, PreviewError, Refused

Answer = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]

_MOST_CONNECTIONS = 64
_PATIENCE_S = 30.0


class RequestSocket:
    """Serves requests on a socket until it is closed."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self._path = path
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._open = 0

    async def open(self, listener: socket.socket | None = None) -> None:
        """Bind the socket, mode 0600, unless systemd holds it (`listener`), and serve."""
        self._server = await asyncio.start_unix_server(
            self._serve, sock=listener or listen_unix(self._path), limit=MESSAGE_LIMIT_BYTES
        )

    def close(self) -> None:
        """Serve nobody any more and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open > _MOST_CONNECTIONS:
                _write(writer, write_error(Refused("busy", "too many connections", "try again")))
                return
            while True:
                async with asyncio.timeout(_PATIENCE_S):
                    line = await reader.readline()
                if not line:
                    return
                _write(writer, await self._answer_line(line))
                await writer.drain()
        except ValueError:  # readline: the line is longer than the limit
            _write(writer, write_error(BadInput("bad_request", "the request is too long")))
        except (OSError, TimeoutError):
            pass
        finally:
            self._open -= 1
            with contextlib.suppress(OSError):
                writer.close()

    async def _answer_line(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            if not isinstance(request, dict) or not isinstance(request.get("do"), str):
                raise BadInput("bad_request", "a request is an object with a `do`")
            return {"ok": True, **await self._answer(request["do"], request)}
        except PreviewError as error:
            return write_error(error)
        except (ValueError, RecursionError):
            return write_error(BadInput("bad_request", "not one line of JSON"))


def _write(writer: asyncio.StreamWriter, document: dict[str, Any]) -> None:
    writer.write(json.dumps(document).encode() + b"\n")
