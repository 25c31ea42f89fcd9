"""Tells systemd that the surface is ready, alive and stopping (sd_notify(3)).

Apart, because it is a protocol of its own: datagrams to the socket in NOTIFY_SOCKET.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping


class Supervisor:
    """The process manager, if there is one that wants to know."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        watched = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._has_watchdog = watched and "WATCHDOG_USEC" in environment

    def ready(self) -> None:
        """The socket is listening."""
        self._say(b"READY=1")

    def alive(self) -> None:
        """The event loop still turns; call this more often than the watchdog's interval."""
        if self._has_watchdog:
            self._say(b"WATCHDOG=1")

    def stopping(self) -> None:
        """The surface drains."""
        self._say(b"STOPPING=1")

    def _say(self, message: bytes) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.connect(address)
            out.send(message)
