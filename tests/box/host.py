"""A provisioned host inside a machine: the real script, PostgreSQL, Caddy and units."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.box.machine import Machine

HOME = Path(__file__).resolve().parents[2]
PROVISION = str(HOME / "scripts" / "preview-slots-provision.sh")
PROGRAM = "/srv/oroboros/current/scripts/ouroboros"
DOMAIN = "example.com"
POSTGRES = "postgresql@{}-main.service"


def reason_against_host() -> str | None:
    """Why this machine cannot play a host, or None."""
    for program, package in (("caddy", "caddy"), ("node", "nodejs"), ("git", "git")):
        if shutil.which(program, path="/usr/bin:/usr/local/bin") is None:
            return f"there is no {package} from Debian"
    if not postgres_unit():
        return "there is no PostgreSQL cluster from Debian"
    if not Path("/usr/bin/python3").exists() or python_version() < (3, 11):
        return "Debian's python3 is older than 3.11"
    return None


def postgres_unit() -> str | None:
    """The unit of Debian's newest cluster `main`."""
    found = sorted(Path("/etc/postgresql").glob("*/main/postgresql.conf"))
    return f"postgresql@{found[-1].parts[3]}-main.service" if found else None


def python_version() -> tuple[int, ...]:
    """The version of Debian's Python."""
    code = "import sys; print(*sys.version_info[:2])"
    told = subprocess.run(["/usr/bin/python3", "-c", code], capture_output=True, check=True)
    return tuple(map(int, told.stdout.split()))


def fetch_packages() -> None:
    """Have uv's cache hold what the installation needs: inside there is no network."""
    uv = HOME / ".venv" / "bin" / "uv"
    with tempfile.TemporaryDirectory() as directory:
        for name in ("pyproject.toml", "uv.lock", "README.md"):
            shutil.copy(HOME / name, directory)
        environment = Path(directory) / ".venv"
        env = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(environment)}
        sync = ["sync", "--quiet", "--frozen", "--no-dev", "--no-install-project"]
        sync += ["--extra", "oidc"]
        for arguments in (["venv", "--quiet", "--python", "/usr/bin/python3", environment], sync):
            subprocess.run([uv, *arguments], cwd=directory, env=env, check=True)


@dataclass(frozen=True)
class Host:
    """A provisioned host."""

    machine: Machine

    def provision(self, *options: str, check: bool = True, **environ: str) -> dict[str, Any]:
        """Run the provisioning script, with further settings, and read its answer."""
        given = {"OUROBOROS_TLS": "internal", "OUROBOROS_DOMAIN": DOMAIN, **environ}
        done = self.machine.run(PROVISION, *options, check=False, **given)
        document = json.loads(done.stdout)
        assert not check or done.returncode == 0, done
        return {**document, "status": done.returncode}

    def ouroboros(self, *arguments: str, check: bool = True) -> dict[str, Any]:
        """Run the installed program and read its answer."""
        done = self.machine.run(PROGRAM, *arguments, check=False)
        assert not check or done.returncode == 0, (arguments, done.stdout, done.stderr)
        return {**json.loads(done.stdout), "status": done.returncode}

    def publish(self, number: int, files: dict[str, str], name: str = "app") -> dict[str, Any]:
        """Lease the slot for a run of its own, unless it has it, and publish these files."""
        repository = self.repository(f"{name}-{number}", files)
        return self.publish_from(number, repository, "main")

    def publish_from(self, number: int, repository: str, ref: str) -> dict[str, Any]:
        """The same from a repository inside."""
        run_id = f"run-{number}"
        leased = self.ouroboros(
            "allocate", "--run-id", run_id, "--strategy", "seed", "--seed-version", "v1"
        )
        assert leased["slot_id"] == f"preview-{number}", leased
        return self.ouroboros(
            "publish", "--run-id", run_id, "--repo", repository, "--ref", ref, check=False
        )

    def release(self, number: int) -> None:
        """End the lease of the slot's run, so that the next one finds the slot's seed."""
        self.ouroboros("release", "--run-id", f"run-{number}", "--slot", f"preview-{number}")

    def repository(self, name: str, files: dict[str, str]) -> str:
        """A git repository inside, with one more commit of exactly these files."""
        path = f"/srv/repositories/{name}"
        outside = self.machine.inside(path)
        outside.mkdir(parents=True, exist_ok=True)
        for present in outside.iterdir():
            if present.name != ".git":
                shutil.rmtree(present) if present.is_dir() else present.unlink()
        for file, text in files.items():
            self.machine.write(f"{path}/{file}", text)
        git = "git -c user.name=Test -c user.email=test@example.com -c safe.directory='*'"
        self.machine.run(
            "sh", "-ec",
            f"cd {path}; chown -R root: .; git init -q -b main; {git} add -A;"
            f"{git} commit -q --allow-empty -m change; chown -R ouroboros: .",
        )  # fmt: skip
        return path

    def get(self, slot: int, path: str = "/", port: int = 8088, **headers: str) -> tuple[int, str]:
        """Ask the router (or another port) for a slot's page; status 0 when nothing answers."""
        named = [item for key, value in headers.items() for item in ("-H", f"{key}: {value}")]
        done = self.machine.run(
            "curl", "-s", "--max-time", "20", "-w", "\n%{http_code}",
            "-H", f"Host: preview{slot}.{DOMAIN}", *named, f"http://127.0.0.1:{port}{path}",
            check=False,
        )  # fmt: skip
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def unhealthy(self) -> str:
        """What the health check does not find well; empty when all is."""
        checked = self.machine.run("/srv/oroboros/current/scripts/preview-slots-health-check.sh",
                                   check=False)  # fmt: skip
        return "" if checked.returncode == 0 else checked.stdout + checked.stderr

    def wait_healthy(self, limit_s: float) -> None:
        """Wait until the health check is green; fails with what it says at last."""
        deadline = time.monotonic() + limit_s
        while said := self.unhealthy():
            assert time.monotonic() < deadline, f"not healthy after {limit_s} s: {said}"
            time.sleep(0.1)


def install_host(machine: Machine) -> Host:
    """Start PostgreSQL inside and provision."""
    machine.run("systemctl", "start", str(postgres_unit()))
    host = Host(machine)
    host.provision()
    return host
