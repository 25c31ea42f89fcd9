"""Becomes a slot's backend inside its systemd unit, with exactly the environment it is to have.

`python3 -IS unit.py`, as the slot's user, with the listener as descriptor 3. Command, directory and
what the branch wishes to have in its environment come in BACKEND_ARGV, BACKEND_DIRECTORY and
BACKEND_ENV. Nothing but the standard library is imported.

- A backend that takes an inherited listener replaces this process.
- While a slot is parked nothing is run, and nothing accepts from the listener.
- One that binds its port by itself binds it inside the unit's own network, where there is nobody
  else; systemd-socket-proxyd (systemd-socket-proxyd(8)) carries connections there from the
  listener. So the slot's port is held by systemd for it, too.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping

PROXY = "/lib/systemd/systemd-socket-proxyd"
# What systemd adds for its own purposes (systemd.exec(5)) and a release did not ask for.
_OF_SYSTEMD = (
    "INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "LOGNAME", "USER", "SHELL",
    "MANAGERPID", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "RUNTIME_DIRECTORY",
)  # fmt: skip
_NOTIFYING = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_FIRST_PASSED_FD = 3


def main() -> int:
    """Run the backend; returns only what a backend that binds its own port ended with."""
    given = {key: value for key, value in os.environ.items() if key not in _OF_SYSTEMD}
    argv = json.loads(given.pop("BACKEND_ARGV"))
    listen = given.pop("BACKEND_LISTEN")
    os.chdir(given.pop("BACKEND_DIRECTORY"))
    given.pop("BACKEND_SHARE", None)  # systemd's to read
    wished = json.loads(given.pop("BACKEND_ENV"))
    env = {**given, **_without(wished, _NOTIFYING)}
    os.environ["PATH"] = env.get("PATH", os.defpath)
    if listen == "parked":
        _tell(env, b"READY=1\nWATCHDOG_USEC=0")
        signal.pause()  # until SIGTERM: connections wait in the listener for who comes next
    if listen == "port":
        return _run_behind_proxy(argv, env)
    if listen == "socket" and not any(argument.endswith("/launchers/asgi.py") for argument in argv):
        # It says nothing itself, and its listener takes connections already.
        _tell(env, b"READY=1\nWATCHDOG_USEC=0")
        env = _without(env, _NOTIFYING)
    try:
        os.execvpe(argv[0], argv, env)  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"ouroboros: command not found: {argv[0]}: {error.strerror}\n")
    return 127


def _run_behind_proxy(argv: list[str], env: Mapping[str, str]) -> int:
    """Run the backend and the proxy to it; when one ends, the other is ended."""
    port = int(env["SLOT_BACKEND_PORT"])
    plain = _without(env, (*_NOTIFYING, "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"))
    os.set_inheritable(_FIRST_PASSED_FD, False)
    backend = _spawn(argv, plain)
    asked: list[bool] = []

    def stop(*_: object) -> None:
        asked.append(True)
        _end(backend)

    signal.signal(signal.SIGTERM, stop)
    while not _answers(port):
        if (status := _ended(backend)) is not None:
            return 0 if asked else status
        time.sleep(0.02)
    proxy = _spawn([PROXY, f"127.0.0.1:{port}"], plain, passed=True)
    _tell(env, b"READY=1\nWATCHDOG_USEC=0")
    while True:
        pid, status = os.wait()
        if pid in (backend, proxy):
            _end(proxy if pid == backend else backend)
            return 0 if asked else os.waitstatus_to_exitcode(status) & 0xFF


def _spawn(argv: list[str], env: Mapping[str, str], *, passed: bool = False) -> int:
    pid = os.fork()
    if pid:
        return pid
    values = dict(env)
    if passed:
        os.set_inheritable(_FIRST_PASSED_FD, True)
        values |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
    try:
        os.execvpe(argv[0], argv, values)  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
    os._exit(127)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _ended(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) & 0xFF if found else None


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def _without(env: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {key: value for key, value in env.items() if key not in names}


def _tell(env: Mapping[str, str], message: bytes) -> None:
    """Say something to systemd (sd_notify(3))."""
    address = env.get("NOTIFY_SOCKET", "")
    if address:
        address = "\0" + address[1:] if address.startswith("@") else address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.connect(address)
            out.send(message)


if __name__ == "__main__":
    sys.exit(main())
