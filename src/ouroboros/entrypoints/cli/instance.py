"""The local instance, without the weight of a command-line parser: bring up, bring down, status.

It is apart from `local` because `ouroboros status` is asked often: its answer costs less than
the import of the parser.
"""

import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

from ouroboros.adapters.supervisor_client import SupervisorClient, read_error
from ouroboros.domain.errors import Failed, PreviewError, TimedOut, Unhealthy
from ouroboros.entrypoints.cli.output import Document, answer, progress, table
from ouroboros.settings import Settings

_DOWN_LIMIT_S = 60.0
_START_LIMIT_S = 240.0
_ASK_LIMIT_S = 5.0
_SUPERVISOR = (sys.executable, "-m", "ouroboros.entrypoints.supervisor", "{fd}")
_SUPERVISOR_LOG_LIMIT_BYTES = 1024 * 1024


def show_status(configured: Settings) -> None:
    """Answer `ouroboros status`."""
    answer("status", ask_status(configured), told_status)


def bring_up(configured: Settings, supervisor: tuple[str, ...] = _SUPERVISOR) -> dict[str, Any]:
    """Start an instance in the background and wait until it is ready; returns its status.

    May be repeated: an instance that is up, or is starting, is waited for (`already_up`). Raises
    what kept it from starting.
    """
    from ouroboros.adapters.processes import start_daemon
    from ouroboros.entrypoints.supervisor.ground import lock_holder, make_directories
    from ouroboros.entrypoints.supervisor.services import control_environment

    make_directories(configured)
    if lock_holder(configured.run_dir) is None:
        log_path = configured.log_dir / "supervisor.log"
        _keep_small(log_path)
        daemon = start_daemon(
            supervisor,
            configured.home,
            control_environment(configured, os.environ),
            log_path,
        )
        try:
            return {"already_up": False, **_read_start(daemon.said, log_path)}
        except KeyboardInterrupt:
            os.kill(daemon.pid, signal.SIGTERM)
            raise
        except PreviewError as error:
            if error.code != "already_running":
                raise
        finally:
            daemon.said.close()
    return {"already_up": True, **_wait_until_up(configured)}


def with_sign_in(configured: Settings, document: dict[str, Any]) -> dict[str, Any]:
    """The answer of `up` with a link that signs an administrator in, once.

    An instance that just cannot make one is up all the same.
    """
    from ouroboros.client import Client

    try:
        made = Client(configured.run_dir / "api.sock").post(
            "/api/sign-in-links", time_limit_s=_ASK_LIMIT_S
        )
    except PreviewError:
        return document
    return {**document, "sign_in": made["link"]}


def bring_down(configured: Settings) -> dict[str, Any]:
    """End an instance and wait until nothing of it is left.

    May be repeated: when nothing runs, only leftovers of a killed instance are ended. Raises
    `down_timed_out`.
    """
    from ouroboros.entrypoints.supervisor.ground import (
        InstanceLock,
        clear_run_dir,
        end_leftovers,
        lock_holder,
    )

    pid = lock_holder(configured.run_dir)
    if pid is not None:
        _end_supervisor(configured, pid)
    ended: list[int] = []
    if configured.run_dir.is_dir():
        with InstanceLock(configured.run_dir):
            ended = end_leftovers(configured)
            clear_run_dir(configured)
    return {"was_up": pid is not None, "pid": pid, "leftovers_ended": len(ended)}


def ask_status(configured: Settings) -> dict[str, Any]:
    """The status of the instance; raises `not_running` and `unhealthy`, with all there is."""
    try:
        document = SupervisorClient(configured, _ASK_LIMIT_S).call({"do": "status"})
    except Unhealthy as error:
        raise Unhealthy(
            "not_running",
            f"Ouroboros is not up in {configured.state_dir}",
            "start it: ouroboros up --detach",
        ) from error
    if document["failing"]:
        raise Unhealthy(
            "unhealthy", "; ".join(document["failing"]), f"see {configured.log_dir}", document
        )
    return document


def _read_start(said: Any, log_path: Path) -> dict[str, Any]:
    """Follow what the supervisor says about its start, up to its last word."""
    for line in said:
        document: dict[str, Any] = json.loads(line)
        if "progress" in document:
            progress(document["progress"])
        elif document.pop("ok", False):
            return document
        else:
            raise read_error(document)
    raise Failed("supervisor_died", "the supervisor ended while starting", f"see {log_path}")


def _wait_until_up(configured: Settings) -> dict[str, Any]:
    """Wait for an instance that somebody else is starting."""
    deadline = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < deadline:
        try:
            document = SupervisorClient(configured, _ASK_LIMIT_S).call({"do": "status"})
        except Unhealthy:
            document = {"state": "starting"}
        if document["state"] != "starting":
            return document
        time.sleep(0.05)
    raise TimedOut("start_timed_out", f"not up after {_START_LIMIT_S:g} s", "ouroboros status")


def _end_supervisor(configured: Settings, pid: int) -> None:
    """Ask the supervisor to end everything, and wait until it is gone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        try:
            SupervisorClient(configured, _ASK_LIMIT_S).call({"do": "down"})
        except PreviewError:
            # Too early or too late for its socket: the signal asks for the same.
            signal.pidfd_send_signal(handle, signal.SIGTERM)
        if not select.select([handle], [], [], _DOWN_LIMIT_S)[0]:
            raise TimedOut(
                "down_timed_out",
                f"the supervisor (pid {pid}) still runs after {_DOWN_LIMIT_S:g} s",
                f"kill -9 {pid}, then ouroboros down",
            )
    except ProcessLookupError:
        pass  # it ended by itself between two steps
    finally:
        os.close(handle)


def _keep_small(log_path: Path) -> None:
    if log_path.exists() and log_path.stat().st_size > _SUPERVISOR_LOG_LIMIT_BYTES:
        log_path.replace(f"{log_path}.1")


def told_up(document: Document) -> str:
    """The answer of `up` for people."""
    already = "Ouroboros is up already" if document.get("already_up") else "Ouroboros is up"
    lines = [f"{already}: {document['api_url']} (pid {document['pid']})"]
    lines += [f"  {slot['slot_id']}  {slot['preview_url']}" for slot in document["slots"]]
    if document.get("sign_in"):
        lines += ["The dashboard, signed in (once, within 15 minutes):", f"  {document['sign_in']}"]
    return "\n".join(lines)


def told_down(document: Document) -> str:
    """The answer of `down` for people."""
    if document["was_up"]:
        return "Ouroboros is down"
    if document["leftovers_ended"]:
        return f"Ouroboros was not up; ended {document['leftovers_ended']} leftover processes"
    return "Ouroboros was not up"


def _port_of(service: Document) -> int | None:
    return service["ports"][0] if service["ports"] else None


def told_status(document: Document) -> str:
    """The answer of `status` for people."""
    services = [
        (item["name"], item["state"], item["pid"], _port_of(item), item["restarts"])
        for item in document["services"]
    ]
    slots = [
        (slot["slot_id"], slot["backend"]["state"], slot["backend"]["pid"], slot["preview_url"])
        for slot in document["slots"]
    ]
    return "\n\n".join(
        (
            told_up(document),
            table(services, ("service", "state", "pid", "port", "restarts")),
            table(slots, ("slot", "backend", "pid", "preview")),
        )
    )
