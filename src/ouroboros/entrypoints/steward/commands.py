"""Commands of branches, each in a transient unit as its slot's user.

A client sends one JSON line with the descriptor that output goes to, and keeps the connection
open: when it closes it, or is killed, the unit is ended with everything in its cgroup. While the
command runs the release's worktree belongs to the slot's user; afterwards nothing of the slot
runs there, and it is the control plane's again. What a steward leaves that is killed, its
successor ends and takes back before it serves.
"""

import contextlib
import json
import os
import pwd
import secrets
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ouroboros.adapters.supervisor_client import MESSAGE_LIMIT_BYTES, write_error
from ouroboros.adapters.systemd import systemctl
from ouroboros.adapters.systemd.files import (
    environment_file,
    hand_over,
    launch_environment,
    write_private,
)
from ouroboros.domain.errors import BadInput, Failed, PreviewError
from ouroboros.domain.slot import Slot
from ouroboros.plans.builds import NO_EGRESS, BuildLimits, build_properties
from ouroboros.plans.layout import Layout
from ouroboros.plans.units.places import SERVICE_USER
from ouroboros.settings import Settings

_LAUNCHER = Path(__file__).resolve().parents[2] / "adapters" / "launchers" / "unit.py"
_PATIENCE_S = 10.0
_LOOK_EVERY_S = 0.5
_PAUSE_S = 0.1
_FREE_BYTES = 1 << 30
_UNITS = "ouroboros-command-"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, checked."""

    slot: Slot
    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    publish_id: str
    time_limit_s: float
    network: bool


class CommandSocket:
    """Runs what is asked for on a socket, each request in a thread of its own."""

    def __init__(self, listener: socket.socket, settings: Settings, directory: Path) -> None:
        self._listener = listener
        self._settings = settings
        self._layout = Layout(settings.state_dir)
        self._directory = directory
        self._worktrees: set[Path] = set()
        self._let_go = threading.Condition()

    def open(self) -> None:
        """End what an earlier steward left, and serve from now on, until the process ends."""
        self._end_orphans()
        threading.Thread(target=self._accept, name="commands", daemon=True).start()

    def _accept(self) -> None:
        self._listener.setblocking(True)
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError as error:  # out of descriptors, or the client went at once
                sys.stderr.write(f"commands: {error}\n")
                time.sleep(_PAUSE_S)
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(_PATIENCE_S)
            answer: dict[str, Any]
            try:
                line, output = _receive(connection)
                try:
                    asked = _read(line, self._settings, self._layout)
                    answer = {"ok": True, **self._run(asked, output, connection)}
                finally:
                    os.close(output)
            except PreviewError as error:
                answer = write_error(error)
            except OSError as error:
                answer = write_error(BadInput("host_error", str(error)))
            connection.sendall(json.dumps(answer).encode() + b"\n")

    def _end_orphans(self) -> None:
        """What a command was told stays until its worktree was taken back, so it tells of both."""
        told = list(self._directory.glob(f"{_UNITS}*.env"))
        try:
            systemctl.act("stop", f"{_UNITS}*.service")
            systemctl.forget_failure(f"{_UNITS}*.service")
            for slot in self._settings.pool:
                if any(each.name.startswith(f"{_UNITS}{slot.alias}-") for each in told):
                    self._take_all_back(slot)
        except PreviewError as error:
            sys.stderr.write(f"commands: {error}\n")
        for each in told:
            each.unlink(missing_ok=True)

    def _take_all_back(self, slot: Slot) -> None:
        for source in self._layout.releases(slot).glob("*/src"):
            try:
                self._take_back(slot, source)
            except (PreviewError, OSError) as error:  # removed meanwhile; must not keep the others
                sys.stderr.write(f"commands: {source}: {error}\n")

    def _take_back(self, slot: Slot, source: Path) -> None:
        """Make a worktree the control plane's again."""
        releases, user = self._layout.releases(slot), pwd.getpwnam(slot.os_user)
        ours = pwd.getpwnam(SERVICE_USER).pw_uid
        below = str(source.relative_to(releases))
        hand_over(releases, below, ours, user.pw_gid, private=True)

    @contextlib.contextmanager
    def _alone_in(self, worktree: Path) -> Iterator[None]:
        """Let one command at a time have a worktree: whose it is changes with it."""
        with self._let_go:
            self._let_go.wait_for(lambda: worktree not in self._worktrees)
            self._worktrees.add(worktree)
        try:
            yield
        finally:
            with self._let_go:
                self._worktrees.discard(worktree)
                self._let_go.notify_all()

    def _run(self, asked: Asked, output: int, client: socket.socket) -> dict[str, Any]:
        slot = asked.slot
        releases, source = self._layout.releases(slot), f"{asked.publish_id}/src"
        user = pwd.getpwnam(slot.os_user)
        unit = f"{_UNITS}{slot.alias}-{secrets.token_hex(6)}.service"
        environment = self._directory / f"{unit}.env"
        settings = self._settings
        properties = build_properties(
            slot,
            self._layout,
            releases / asked.publish_id,
            environment,
            limits=BuildLimits(time_limit_s=asked.time_limit_s),
            egress=settings.build_egress if asked.network else NO_EGRESS,
        )
        told = environment_file(launch_environment(asked.argv, asked.cwd, "none", asked.env))
        with self._alone_in(releases / source):
            write_private(environment, told)
            try:
                hand_over(releases, source, user.pw_uid, user.pw_gid, private=False)
                argv = ("/usr/bin/python3", "-IS", str(_LAUNCHER))
                _require_room(self._layout.state_dir)
                process = systemctl.start_transient(unit, properties, argv, output)
                _wait(process, client, unit, self._layout.state_dir)
                state = systemctl.show(unit)
            finally:
                self._take_back(slot, releases / source)
                environment.unlink(missing_ok=True)
                systemctl.forget_failure(unit)
        return {"exit_status": _exit_status(process, state), "result": state.get("Result", "")}


def _require_room(directory: Path) -> None:
    """Refuse what would fill the disk that PostgreSQL and every slot live on (`disk_full`)."""
    facts = os.statvfs(directory)
    free = facts.f_bavail * facts.f_frsize
    if free < _FREE_BYTES:
        raise Failed(
            "disk_full",
            f"{free >> 20} MB are left on the disk of {directory}; a build is ended at "
            f"{_FREE_BYTES >> 20} MB",
            "df -h; ouroboros doctor",
        )


def _wait(
    process: "subprocess.Popen[bytes]", client: socket.socket, unit: str, directory: Path
) -> None:
    """Wait for the unit's end; the client's end ends it, and so does a disk that fills."""
    ended = threading.Event()

    def watch() -> None:
        process.wait()
        ended.set()
        with contextlib.suppress(OSError):
            wake_writer.send(b"x")

    wake, wake_writer = socket.socketpair()
    with wake, wake_writer, selectors.DefaultSelector() as selector:
        threading.Thread(target=watch, daemon=True).start()
        selector.register(client, selectors.EVENT_READ)
        selector.register(wake, selectors.EVENT_READ)
        while not ended.is_set():
            for key, _ in selector.select(_LOOK_EVERY_S):
                if key.fileobj is client:
                    selector.unregister(client)
                    systemctl.act("stop", unit)
            try:
                _require_room(directory)
            except Failed:
                systemctl.act("kill", "--signal=KILL", unit)
                process.wait()
                raise
        process.wait()


def _exit_status(process: "subprocess.Popen[bytes]", state: Mapping[str, str]) -> int:
    """The command's own status, or 128 + N when signal N ended it."""
    if process.returncode == 0:
        return 0
    status = int(state.get("ExecMainStatus", "0") or 0)
    if state.get("ExecMainCode") in ("2", "3"):
        return 128 + status
    return status or 1


def _receive(connection: socket.socket) -> tuple[bytes, int]:
    """One line, and the descriptor that came with it, which the caller closes."""
    data, descriptors, _, _ = socket.recv_fds(connection, MESSAGE_LIMIT_BYTES, 1)
    if len(descriptors) != 1:
        raise BadInput("bad_request", "a command needs a descriptor for its output")
    while not data.endswith(b"\n"):
        more = connection.recv(65536)
        if not more or len(data) > MESSAGE_LIMIT_BYTES:
            os.close(descriptors[0])
            raise BadInput("bad_request", "the request has no end")
        data += more
    return data, descriptors[0]


def _read(line: bytes, settings: Settings, layout: Layout) -> Asked:
    """Check a request; raises `bad_request`, `invalid_slot`."""
    try:
        document = json.loads(line)
        slot = settings.pool.parse(str(document["slot"]))
        cwd = Path(str(document["cwd"]))
        argv = tuple(str(item) for item in document["argv"])
        env = {str(key): str(value) for key, value in document["env"].items()}
        time_limit_s = float(document["time_limit_s"])
        network = document["network"] is True
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput("bad_request", f"not a command: {error!r}") from error
    releases = layout.releases(slot)
    inside = cwd.relative_to(releases).parts if cwd.is_relative_to(releases) else ()
    if len(inside) < 2 or inside[1] != "src" or ".." in inside or not argv:
        raise BadInput("bad_request", f"{cwd} is not in a release of {slot.id}")
    return Asked(slot, argv, cwd, env, inside[0], time_limit_s, network)
