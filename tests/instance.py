"""A whole local instance for end-to-end tests, beside whatever else runs on the machine."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ports import reserve_ports

HOME = Path(__file__).resolve().parents[1]
PROGRAM = HOME / "scripts" / "ouroboros"


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    status: int
    document: dict[str, Any]
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Instance:
    """An instance with a state directory and ports of its own."""

    state_dir: Path
    environ: Mapping[str, str]
    web_port_base: int
    api_port_base: int
    api_port: int

    def ouroboros(self, *arguments: str, **environ: str) -> Ran:
        return self.command([str(PROGRAM), *arguments, "--json"], **environ)

    def script(self, name: str, *arguments: str) -> Ran:
        return self.command([str(HOME / "scripts" / name), *arguments])

    def command(self, argv: list[str], **environ: str) -> Ran:
        done = subprocess.run(
            argv,
            env={**self.environ, **environ},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        try:
            document = json.loads(done.stdout)
        except ValueError:
            document = {}
        return Ran(done.returncode, document, done.stdout, done.stderr)

    def up(self) -> Ran:
        return self.ouroboros("up", "--detach")

    def down(self) -> Ran:
        return self.ouroboros("down")

    def web_port(self, number: int) -> int:
        return self.web_port_base + number

    def backend_port(self, number: int) -> int:
        return self.api_port_base + number

    def allocate(self, run_id: str, seed: str = "v1") -> Ran:
        return self.ouroboros(
            "allocate", "--run-id", run_id, "--strategy", "seed", "--seed-version", seed
        )

    def publish(self, run_id: str, repo: Path, ref: str) -> Ran:
        return self.ouroboros("publish", "--run-id", run_id, "--repo", str(repo), "--ref", ref)

    def release(self, run_id: str, slot: str) -> Ran:
        return self.ouroboros("release", "--run-id", run_id, "--slot", slot)


def make_instance(directory: Path, **settings: str) -> Instance:
    """Choose free ports and a state directory; starts nothing."""
    base = reserve_ports()
    environ = {
        key: value for key, value in os.environ.items() if not key.startswith("OUROBOROS_")
    } | {
        "OUROBOROS_STATE_DIR": str(directory / "state"),
        "OUROBOROS_WEB_PORT_BASE": str(base),
        "OUROBOROS_API_PORT_BASE": str(base + 10),
        "OUROBOROS_API_PORT": str(base + 20),
        "OUROBOROS_CADDY_PORT": str(base + 21),
        # A browser after each of hundreds of publishes would be most of the suite's work.
        "OUROBOROS_PICTURES": "off",
        **settings,
    }
    return Instance(directory / "state", environ, base, base + 10, base + 20)


@contextmanager
def running_instance(**settings: str) -> Iterator[Instance]:
    """A started instance in a short temporary directory, ended and removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="ouro-", dir="/tmp"))
    instance = make_instance(directory, **settings)
    try:
        started = instance.up()
        assert started.status == 0, started
        yield instance
    finally:
        ended = instance.down()
        shutil.rmtree(directory, ignore_errors=True)
        assert ended.status == 0, ended
