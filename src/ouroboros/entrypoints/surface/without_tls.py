"""Keeps TLS out of a surface, which listens on this machine and speaks to this machine.

Apart, and called by the script before anything else: asyncio and uvloop both import `ssl` to know
its exceptions, and that sets up OpenSSL (6 ms of a start and 3 MB, measured) for nobody.
"""

from __future__ import annotations

import sys
import types


class _StandIn(types.ModuleType):
    """Has a class for every name that somebody asks for, and no use for any of them."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        value: object = -1 if name.isupper() else type(name, (OSError,), {})
        setattr(self, name, value)
        return value


def leave_out_tls() -> None:
    """Let later imports of `ssl` in this process find a stand-in; does nothing when it is there."""
    sys.modules.setdefault("ssl", _StandIn("ssl"))
