"""From inside a slot: everything that docs/threat-model.md names is refused.

Each probe runs in the real backend of slot 1, and once more in a unit with the same directives but
for its guard, where it must get through.
"""

import json
from collections.abc import Iterator, Mapping

import pytest
from tests.box.applications import FILES
from tests.box.host import HOME, Host
from tests.box.machine import wait_until
from tests.box.probes import PROBES, Probe, program

UNIT = "/etc/systemd/system/ouroboros-backend@.service"
BACKEND = "ouroboros-backend@preview1.service"
_NOT_OF_THE_SANDBOX = (
    "ExecStart", "ExecStartPre", "ExecStartPost", "EnvironmentFile", "Type", "NotifyAccess",
    "WatchdogSec", "TimeoutStartSec", "TimeoutStopSec", "Restart",
    "RestartSec", "StandardOutput", "KillMode", "OOMPolicy",
)  # fmt: skip


@pytest.fixture(scope="module")
def prey(previews: Host) -> Iterator[Host]:
    """The host with something to find in every place that a probe looks at."""
    machine = previews.machine
    machine.run("ip", "address", "add", "169.254.169.254/32", "dev", "lo")
    machine.write("/tmp/left-by-another", "secret")
    machine.write("/var/log/left-by-another", "secret")
    listening = "import socket, time\n" + "".join(
        f"{name} = socket.socket({family}); {name}.bind({address}); {name}.listen()\n"
        for name, family, address in (
            ("a", "socket.AF_INET", "('169.254.169.254', 80)"),
            ("b", "socket.AF_UNIX", "'\\0ouroboros-probe'"),
            ("c", "socket.AF_INET", "('127.0.0.1', 15432)"),
        )
    )
    machine.run("systemd-run", "--quiet", "--unit=prey", "/usr/bin/python3", "-c",
                listening + "time.sleep(3600)")  # fmt: skip
    wait_until(lambda: machine.run("ss", "-lxt").stdout.count("ouroboros-probe"), 20)
    yield previews
    machine.run("systemctl", "stop", "prey.service")


def facts(host: Host) -> dict[str, object]:
    """What a probe is told about the host around it."""
    network = host.machine.run("readlink", "/proc/1/ns/net").stdout.strip()
    pid = host.machine.properties("ouroboros-backend@preview2.service", "MainPID")["MainPID"]
    release = host.machine.run("readlink", "-f", "/srv/oroboros/web/preview-1/current").stdout
    return {"network": network, "neighbour": int(pid), "source": f"{release.strip()}/src"}


def confined(host: Host, code: str, without: Mapping[str, str]) -> str:
    """Run code under the directives of the backend's unit, with some of them replaced."""
    section = host.machine.inside(UNIT).read_text().partition("[Service]\n")[2]
    lines = [line for line in section.splitlines() if "=" in line and not line.startswith("#")]
    pairs = [line.replace("%i", "preview1").split("=", 1) for line in lines]
    kept = [
        (key, value)
        for key, value in pairs
        if key not in without and key not in _NOT_OF_THE_SANDBOX
    ]
    kept += [(key, value) for key, value in without.items() if value]
    options = [f"--property={key}={value}" for key, value in kept]
    argv = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", *options]
    done = host.machine.run(*argv, "/usr/bin/python3", "-c", code, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_a_probe_is_refused_and_goes_through_without_its_guard(prey, probe: Probe):
    code = program(probe, **facts(prey))
    done = prey.machine.run(
        "curl", "-s", "--max-time", "20", "--data-binary", "@-",
        "http://127.0.0.1:8101/api/do", stdin=code,
    )  # fmt: skip
    inside = json.loads(done.stdout)["out"]
    assert "refused:" in inside and "THROUGH" not in inside, inside
    bare = confined(prey, code, probe.without)
    assert "THROUGH" in bare, f"the probe cannot get through at all: {bare}"


def test_every_probe_is_a_line_of_the_threat_model_and_every_line_a_probe():
    text = (HOME / "docs" / "threat-model.md").read_text("utf-8")
    for probe in PROBES:
        assert f"`{probe.name}`" in text, probe.name
    assert len({probe.name for probe in PROBES}) == len(PROBES) >= 29


def test_a_slots_role_enters_no_other_database_and_is_nobody_else(prey):
    code = """
import os, psycopg
from urllib.parse import urlsplit
own = os.environ["DATABASE_URL"]
for url in (own.replace("/app_preview_1", "/app_preview_2"),
            own.replace("app_preview_1", "app_preview_2"),
            own.replace("/app_preview_1", "/ouroboros_control"),
            own.replace("/app_preview_1", "/postgres"),
            "postgresql://postgres@/postgres?host=/var/run/postgresql",
            "postgresql://ouroboros_admin@/ouroboros_control?host=/var/run/postgresql"):
    try:
        psycopg.connect(url, connect_timeout=5)
        print("THROUGH", url)
    except psycopg.OperationalError as error:
        print("refused:", str(error)[-60:])
with psycopg.connect(own) as connection:
    for order in ("COPY (SELECT 1) TO PROGRAM 'id'", "ALTER ROLE app_preview_1 CREATEROLE",
                  "SET ROLE ouroboros_admin", "SELECT pg_read_file('/etc/passwd')"):
        try:
            with connection.transaction():
                connection.execute(order)
            print("THROUGH", order)
        except psycopg.Error as error:
            print("refused:", error.sqlstate)
"""
    done = prey.machine.run(
        "curl", "-s", "--max-time", "60", "--data-binary", "@-",
        "http://127.0.0.1:8101/api/do", stdin=code,
    )  # fmt: skip
    out = json.loads(done.stdout)["out"]
    assert out.count("refused:") == 10 and "THROUGH" not in out, out


BUILD = """
import os, pathlib, socket, subprocess, sys
def tried(name, act):
    try:
        act()
        print("THROUGH", name)
    except OSError as error:
        print("refused:", name, error.strerror)
for port in (8000, 8102, 5432, 3102):
    tried(f"port {port}", lambda: socket.create_connection(("127.0.0.1", port), 3))
tried("metadata", lambda: socket.create_connection(("169.254.169.254", 80), 3))
for path in ("/srv/oroboros/secrets", "/srv/oroboros/releases/preview-2", "/srv/oroboros/run"):
    tried(path, lambda: os.listdir(path))
for path in ("/srv/oroboros/web/preview-1", "/srv/oroboros/cache/preview-1", "..", "/etc", "/opt"):
    tried("write " + path, lambda: open(path + "/made-by-a-build", "w"))
print("secret" if any("DSN" in key or "PASS" in key for key in os.environ) else "no secret")
subprocess.Popen([sys.executable, "-c", "import os, time; os.setsid(); time.sleep(3456)"],
                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
out = pathlib.Path("dist")
out.mkdir(exist_ok=True)
(out / "index.html").write_text("<!doctype html><title>preview-1 one</title>")
"""


def test_a_build_reaches_neither_the_host_nor_other_files_and_leaves_no_process(prey):
    assert prey.publish(1, {**FILES, "build.py": BUILD})["status"] == 0
    try:
        newest = sorted(
            prey.machine.inside("/srv/oroboros/artifacts").iterdir(), key=lambda p: int(p.name[1:])
        )[-1]
        log = (newest / "frontend.log").read_text()
        assert log.count("refused:") == 13 and "THROUGH" not in log, log
        assert "no secret" in log
        assert "3456" not in prey.machine.run("ps", "-eo", "args").stdout
    finally:
        assert prey.publish(1, FILES)["status"] == 0


def test_what_root_runs_around_a_backend_heeds_no_variable_of_the_branch(prey):
    """systemctl would run a program that DBUS_SYSTEM_BUS_ADDRESS names, and it is run as root."""
    wished = """
[backend.env]
SYSTEMCTL_FORCE_BUS = "1"
DBUS_SYSTEM_BUS_ADDRESS = "unixexec:path=/bin/sh,argv1=-c,argv2=id>/run/by-a-branch"
ENV = "/tmp/x"
[[smoke]]"""
    files = {**FILES, "preview.toml": FILES["preview.toml"].replace("\n[[smoke]]", wished, 1)}
    assert prey.publish(1, files)["status"] == 0
    for _ in range(2):
        told = json.loads(prey.get(1, "/api/who")[1])["env"]
        assert {"SYSTEMCTL_FORCE_BUS", "DBUS_SYSTEM_BUS_ADDRESS", "ENV"} <= set(told)
        assert not {"BACKEND_ENV", "BACKEND_ARGV", "BACKEND_SHARE"} & set(told)
        prey.ouroboros("backend", "restart", "--slot", "preview-1")
    assert not prey.machine.inside("/run/by-a-branch").exists()
    shown = prey.machine.run(
        "systemctl", "show", "-p", "ExecStartPre,ExecStartPost", BACKEND
    ).stdout
    assert shown.count("status=0") == 2, shown
    assert prey.publish(1, FILES)["status"] == 0
