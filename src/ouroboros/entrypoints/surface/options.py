"""What a surface is told when it starts: command line first, environment second.

Apart, because all of it is read once into one value, and every problem with it is reported at
the same time.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_ROOT_NAME = re.compile(r"web-(preview-[1-9][0-9]{0,3})")
_SLOT = re.compile(r"preview-?([1-9][0-9]{0,3})")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]+\]")


class BadOptions(Exception):
    """The options cannot be used; `problems` names each of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Options:
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
    given = vars(_parser(environment).parse_args(list(arguments)))
    problems: list[str] = []
    root = os.path.realpath(given["root"] or ".")
    if not given["root"]:
        problems.append("--root (WEB_ROOT) is not given")
    elif not os.path.isdir(root):
        problems.append(f"--root: no such directory: {given['root']}")
    port = given["port"] or ""
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        problems.append(f"--port (WEB_PORT): not a port: {port!r}")
    target = given["api_target"] or ""
    if not re.fullmatch(r"unix:/.+|http://(127(\.\d+){3}|localhost|\[::1\]):\d{1,5}/?", target):
        problems.append(f"--api-target (WEB_API_PROXY_TARGET): not on this machine: {target!r}")
    slot = _SLOT.fullmatch(given["slot"] or "")
    derived = _ROOT_NAME.fullmatch(os.path.basename(root))
    if given["slot"] and slot is None:
        problems.append(f"--slot (WEB_SLOT): not a slot: {given['slot']!r}")
    slot_id = f"preview-{slot.group(1)}" if slot else derived.group(1) if derived else ""
    hosts = ["localhost", "127.0.0.1", "[::1]"]
    if slot_id:
        hosts.append(slot_id.replace("-", "") + ".localhost")
    for name in (given["allowed_hosts"] or "").lower().split(","):
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
        host=given["host"],
        slot_id=slot_id,
        hosts=frozenset(host.encode() for host in hosts),
        control_socket=given["control_socket"] or "",
        access_log=given["access_log"] or "",
    )


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run-web-surface.py",
        description="Serve the release of one preview slot and proxy its /api.",
        allow_abbrev=False,
    )

    def add(name: str, variable: str, text: str, default: str | None = None) -> None:
        fallback = environment.get(variable) or default
        parser.add_argument(f"--{name}", default=fallback, help=f"{text} [{variable}]")

    add("root", "WEB_ROOT", "the slot's web root, e.g. infra/web-preview-1")
    add("port", "WEB_PORT", "the port to listen on; 0 takes a free one")
    add("api-target", "WEB_API_PROXY_TARGET", "where /api goes: http://127.0.0.1:PORT or unix:PATH")
    add("host", "WEB_HOST", "the address to listen on", "127.0.0.1")
    add("slot", "WEB_SLOT", "the slot, when the root's name does not say it")
    add("allowed-hosts", "WEB_ALLOWED_HOSTS", "further host names to serve, comma separated")
    add("control-socket", "WEB_CONTROL_SOCKET", "a unix socket that answers /metrics")
    add("access-log", "WEB_ACCESS_LOG", "a file for the access log, or - for stderr")
    return parser
