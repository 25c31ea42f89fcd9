"""What a surface is told when it starts: command line first, environment second.

Apart, because all of it is read once into one value, and every problem with it is reported at
the same time. Not by argparse: what it brings (shutil, gettext, bz2, lzma) is a tenth of a start.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_ROOT_NAME = re.compile(r"web-(preview-[1-9][0-9]{0,3})")
_SLOT = re.compile(r"preview-?([1-9][0-9]{0,3})")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]+\]")


_OPTIONS = (
    ("root", "WEB_ROOT", "the slot's web root, e.g. infra/web-preview-1"),
    ("port", "WEB_PORT", "the port to listen on; 0 takes a free one"),
    ("api-target", "WEB_API_PROXY_TARGET",
     "where /api goes: http://127.0.0.1:PORT or unix:PATH"),
    ("host", "WEB_HOST", "the address to listen on; 127.0.0.1 without it"),
    ("slot", "WEB_SLOT", "the slot, when the root's name does not say it"),
    ("allowed-hosts", "WEB_ALLOWED_HOSTS", "further host names to serve, comma separated"),
    ("control-socket", "WEB_CONTROL_SOCKET", "a unix socket that answers /metrics"),
    ("access-log", "WEB_ACCESS_LOG", "a file for the access log, or - for stderr"),
)  # fmt: skip


class BadOptions(Exception):
    """The options cannot be used; `problems` names each of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Options(NamedTuple):
    """Options after checking; `root` is absolute and resolved."""

    root: str
    port: int
    api_target: str
    host: str = "127.0.0.1"
    slot_id: str = ""
    hosts: frozenset[bytes] = frozenset()
    control_socket: str = ""
    access_log: str = ""


def read_options(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Read the command line over the environment. Raises `BadOptions` with every problem."""
    problems: list[str] = []
    given = {name: environment.get(variable, "") for name, variable, _ in _OPTIONS}
    given.update(_read_arguments(arguments, problems))
    root = os.path.realpath(given["root"] or ".")
    if not given["root"]:
        problems.append("--root (WEB_ROOT) is not given")
    elif not os.path.isdir(root):
        problems.append(f"--root: no such directory: {given['root']}")
    port = given["port"]
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        problems.append(f"--port (WEB_PORT): not a port: {port!r}")
    target = given["api-target"]
    if not re.fullmatch(r"unix:/.+|http://(127(\.\d+){3}|localhost|\[::1\]):\d{1,5}/?", target):
        problems.append(f"--api-target (WEB_API_PROXY_TARGET): not on this machine: {target!r}")
    slot = _SLOT.fullmatch(given["slot"])
    derived = _ROOT_NAME.fullmatch(os.path.basename(root))
    if given["slot"] and slot is None:
        problems.append(f"--slot (WEB_SLOT): not a slot: {given['slot']!r}")
    slot_id = f"preview-{slot.group(1)}" if slot else derived.group(1) if derived else ""
    hosts = ["localhost", "127.0.0.1", "[::1]"]
    if slot_id:
        hosts.append(slot_id.replace("-", "") + ".localhost")
    for name in given["allowed-hosts"].lower().split(","):
        if name.strip() and not _HOST.fullmatch(name.strip()):
            problems.append(f"--allowed-hosts (WEB_ALLOWED_HOSTS): not a host name: {name!r}")
        elif name.strip():
            hosts.append(name.strip())
    if problems:
        raise BadOptions(problems)
    return Options(
        root=root,
        port=int(port),
        api_target=target,
        host=given["host"] or "127.0.0.1",
        slot_id=slot_id,
        hosts=frozenset(host.encode() for host in hosts),
        control_socket=given["control-socket"],
        access_log=given["access-log"],
    )


def usage() -> str:
    """The text of --help."""
    lines = ["usage: run-web-surface.py --root ROOT --port PORT --api-target TARGET [options]", ""]
    lines += ["Serve the release of one preview slot and proxy its /api.", ""]
    lines += [f"  --{name:<15} {text} [{variable}]" for name, variable, text in _OPTIONS]
    return "\n".join(lines)


def _read_arguments(arguments: Sequence[str], problems: list[str]) -> dict[str, str]:
    """Read `--name value` and `--name=value`; what is neither is a problem."""
    names = {name for name, _, _ in _OPTIONS}
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or name not in names:
            problems.append(f"{word}: no such option")
        elif equals:
            given[name] = value
        elif rest and not rest[0].startswith("--"):
            given[name] = rest.pop(0)
        else:
            problems.append(f"--{name}: its value is missing")
    return given
