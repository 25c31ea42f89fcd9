"""The supervisor of local mode, as its clients see it: one JSON line each way on a unix socket.

Decides how values travel on that socket, for both ends, and is the `BackendRuntime` of local
mode. It imports nothing heavy, because `ouroboros status` is nothing but one call of it.
"""

import contextlib
import json
import socket
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

from ouroboros.adapters.build_caches import remove_aside, set_aside_if_over
from ouroboros.adapters.release_files import remove_tree
from ouroboros.adapters.unix_sockets import connect_unix
from ouroboros.domain.errors import (
    BadInput,
    Failed,
    NotFound,
    PreviewError,
    Refused,
    TimedOut,
    Unhealthy,
    WaitingForSlot,
)
from ouroboros.domain.slot import Slot
from ouroboros.plans.layout import Layout
from ouroboros.ports import BackendSpec, BackendStatus
from ouroboros.settings import Settings

MESSAGE_LIMIT_BYTES = 1024 * 1024
SOCKET_NAME = "supervisor.sock"
_TIME_LIMIT_S = 120.0
_KINDS: dict[int, type[PreviewError]] = {
    kind.http_status: kind
    for kind in (BadInput, NotFound, Refused, Failed, Unhealthy, WaitingForSlot, TimedOut)
}


class SupervisorClient:
    """Talks to the supervisor of one state directory; every call is a connection of its own."""

    def __init__(self, settings: Settings, time_limit_s: float = _TIME_LIMIT_S) -> None:
        self._path = settings.run_dir / SOCKET_NAME
        self._time_limit_s = time_limit_s
        self._on_host = settings.systemd
        self._layout = Layout(settings.state_dir)

    def call(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send one request and return its answer.

        Raises `supervisor_unreachable`, `supervisor_timed_out`, and what the supervisor answers.
        """
        try:
            with connect_unix(self._path, self._time_limit_s) as connection:
                connection.sendall(json.dumps(request).encode() + b"\n")
                answer = json.loads(_read_line(connection))
        except TimeoutError as error:
            raise TimedOut(
                "supervisor_timed_out",
                f"the supervisor did not answer within {self._time_limit_s:g} s",
                "ouroboros status",
            ) from error
        except (OSError, ValueError) as error:
            raise Unhealthy(
                "supervisor_unreachable",
                f"nothing answers on {self._path}",
                "start it: ouroboros up",
            ) from error
        if not answer.pop("ok", False):
            raise read_error(answer)
        return dict(answer)

    def status(self, slot: Slot) -> BackendStatus:
        """See `BackendRuntime.status`."""
        return self._ask("status", slot)

    def start(self, slot: Slot, spec: BackendSpec) -> BackendStatus:
        """See `BackendRuntime.start`; returns when the process runs, before it is ready."""
        return self._ask("start", slot, spec=write_spec(spec))

    def prepare(self, slot: Slot, spec: BackendSpec) -> BackendStatus:
        """See `BackendRuntime.prepare`; returns when the process runs, before it is ready."""
        return self._ask("prepare", slot, spec=write_spec(spec))

    def promote(self, slot: Slot, publish_id: str, fence: int) -> BackendStatus:
        """See `BackendRuntime.promote`; returns when the one before has ended."""
        return self._ask("promote", slot, publish_id=publish_id, fence=fence)

    def discard(self, slot: Slot, fence: int) -> None:
        """See `BackendRuntime.discard`."""
        self._ask("discard", slot, fence=fence)

    def park(self, slot: Slot, fence: int) -> BackendStatus:
        """See `BackendRuntime.park`; returns when the processes have ended."""
        return self._ask("park", slot, fence=fence)

    def stop(self, slot: Slot, fence: int) -> BackendStatus:
        """See `BackendRuntime.stop`."""
        return self._ask("stop", slot, fence=fence)

    def erase_home(self, slot: Slot, fence: int) -> None:
        """See `BackendRuntime.erase_home`; on a host the files are the slot's user's."""
        if self._on_host:
            self._ask("erase", slot, fence=fence)
        else:
            remove_tree(self._layout.home(slot))

    def trim_caches(self, slot: Slot, fence: int, limit_bytes: int) -> int:
        """See `BackendRuntime.trim_caches`; on a host the files are the slot's user's."""
        if self._on_host:
            answer = self._call("trim", slot, fence=fence, limit_bytes=limit_bytes)
            return int(answer["freed_bytes"])
        freed_bytes, aside = set_aside_if_over(self._layout.cache(slot), limit_bytes)
        remove_aside(aside)
        return freed_bytes

    def _ask(self, verb: str, slot: Slot, **values: Any) -> BackendStatus:
        return read_status(self._call(verb, slot, **values)["backend"])

    def _call(self, verb: str, slot: Slot, **values: Any) -> dict[str, Any]:
        return self.call({"do": f"backend.{verb}", "slot": slot.id, **values})


def write_spec(spec: BackendSpec) -> dict[str, Any]:
    """A specification as JSON."""
    return _write(spec)


def read_spec(document: Mapping[str, Any]) -> BackendSpec:
    """A specification from JSON; raises `bad_request`."""
    try:
        # A specification that an earlier version wrote has no egress.
        known = {"egress": (), **document}
        values = {each.name: known[each.name] for each in fields(BackendSpec)}
        values["egress"] = tuple(str(item) for item in values["egress"])
        values["argv"] = tuple(str(item) for item in values["argv"])
        values["env"] = {str(key): str(value) for key, value in values["env"].items()}
        values["cwd"] = Path(values["cwd"])
        values["log_path"] = Path(values["log_path"])
        values["fence"] = int(values["fence"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput("bad_request", f"not a backend specification: {error!r}") from error
    spec = BackendSpec(**values)
    if not spec.argv or spec.listen not in ("socket", "port"):
        raise BadInput("bad_request", "a backend needs an argv, and listens by socket or port")
    return spec


def write_status(status: BackendStatus) -> dict[str, Any]:
    """A backend's status as JSON."""
    return _write(status)


def read_status(document: Mapping[str, Any]) -> BackendStatus:
    """A backend's status from JSON."""
    values = dict(document)
    if values["since"] is not None:
        values["since"] = datetime.fromisoformat(values["since"])
    if values["log_path"] is not None:
        values["log_path"] = Path(values["log_path"])
    return BackendStatus(**values)


def write_error(error: PreviewError) -> dict[str, Any]:
    """An error as JSON, with its kind."""
    return {**error.document(), "kind": type(error).http_status}


def read_error(document: Mapping[str, Any]) -> PreviewError:
    """An error from JSON, as the class it was."""
    values = dict(document)
    kind = _KINDS.get(values.pop("kind", 500), Failed)
    with contextlib.suppress(KeyError):
        del values["ok"]
    return kind(
        str(values.pop("error", "supervisor_failed")),
        str(values.pop("message", "")),
        str(values.pop("hint", "")),
        values,
    )


def _write(value: BackendSpec | BackendStatus) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for each in fields(value):
        item = getattr(value, each.name)
        match item:
            case Path():
                item = str(item)
            case datetime():
                item = item.isoformat()
            case Mapping():
                item = dict(item)
        document[each.name] = item
    return document


def _read_line(connection: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        chunk = connection.recv(65536)
        if not chunk:
            raise ConnectionError("the supervisor closed the connection without an answer")
        received += chunk
    return bytes(received)
