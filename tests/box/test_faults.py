"""What goes wrong on a host, and that it is contained, told and mended."""

import json

import pytest
from tests.box.applications import FILES, PORT_FILES
from tests.box.host import HOME, Host
from tests.box.machine import wait_until

FILL_THE_DISK = """
at = 0
while True:
    at += 1
    with open(f"filling-{at}", "wb") as file:
        file.write(bytes(1 << 26))
"""
STAY = """
import subprocess, sys
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3456)"
subprocess.Popen([sys.executable, "-c", stubborn], stdin=subprocess.DEVNULL,
                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
"""


def processes_of(host: Host, user: str) -> str:
    """The processes of a user; empty when there are none."""
    return host.machine.run("ps", "-u", user, "-o", "args=", check=False).stdout


def test_a_failure_half_way_is_told_and_the_next_run_finishes(previews, postgres):
    machine = previews.machine
    unit = "/etc/systemd/system/ouroboros-worker.service"
    machine.run("rm", unit)
    machine.run("rm", "-r", "/srv/oroboros/scratch")
    machine.run("systemctl", "stop", postgres)
    failed = previews.provision(check=False)
    assert (failed["status"], failed["error"]) == (1, "postgres_not_prepared")
    assert machine.inside("/srv/oroboros/scratch").is_dir()
    assert not machine.inside(unit).exists()
    machine.run("systemctl", "start", postgres)
    previews.provision()
    assert machine.inside(unit).exists()
    assert previews.provision("--check")["status"] == 0
    previews.wait_healthy(60)


def test_everything_comes_back_with_the_boot_target(previews, postgres):
    machine = previews.machine
    assert machine.run("systemctl", "is-enabled", "ouroboros.target").stdout == "enabled\n"
    machine.run("systemctl", "stop", "ouroboros.target", postgres)
    listed = ("systemctl", "list-units", "--plain", "--no-legend", "--state=active")
    wait_until(lambda: not machine.run(*listed, "ouroboros*.service").stdout, 60)
    machine.run("systemctl", "start", postgres, "ouroboros.target")
    previews.wait_healthy(60)
    wait_until(lambda: previews.get(1, "/api/who")[0] == 200, 60)
    assert json.loads(previews.get(1, "/api/who")[1])["version"] == "one"


@pytest.mark.soak
def test_an_upgrade_keeps_previews_running_and_can_be_taken_back(previews):
    machine = previews.machine
    backend = "ouroboros-backend@preview1.service"
    before = machine.run("readlink", "-f", "/srv/oroboros/current").stdout.strip()
    pid = machine.properties(backend, "MainPID")["MainPID"]
    source = f"{HOME}/src/ouroboros/__init__.py"
    text = machine.inside(source).read_text()
    machine.write(source, f"{text}# a newer version\n")
    try:
        upgraded = previews.provision()
    finally:
        machine.write(source, text)
    assert machine.run("readlink", "-f", "/srv/oroboros/current").stdout.strip() != before
    assert {"what": "unit", "path": "ouroboros-worker.service", "change": "restart"} in (
        upgraded["changes"]
    )
    previews.wait_healthy(60)
    machine.run(f"{before}/scripts/preview-slots-provision.sh")
    assert machine.run("readlink", "-f", "/srv/oroboros/current").stdout.strip() == before
    previews.wait_healthy(60)
    assert previews.get(1, "/api/who")[0] == 200
    assert machine.properties(backend, "MainPID")["MainPID"] == pid


@pytest.mark.soak
def test_a_build_that_fills_the_disk_is_ended_before_it_is_full(previews):
    done = previews.publish(2, {**FILES, "build.py": FILL_THE_DISK})
    assert done["failure"]["error"] == "disk_full", done["failure"]
    assert previews.get(2, "/api/who")[0] == previews.get(1, "/api/who")[0] == 200
    assert previews.unhealthy() == ""


SLEEP_ONCE = """
import pathlib, time
slept = pathlib.Path.home() / "slept"
if not slept.exists():
    slept.write_text("")
    time.sleep(600)
""" + FILES["build.py"]


def test_a_steward_killed_in_a_build_leaves_nothing_running_and_the_build_begins_anew(previews):
    machine = previews.machine
    repository = previews.repository("killed-steward", {**FILES, "build.py": SLEEP_ONCE})
    queued = previews.ouroboros(
        "publish", "--run-id", "run-2", "--repo", repository, "--ref", "main", "--detach"
    )
    wait_until(lambda: "build.py" in processes_of(previews, "ouroboros-preview2"), 60)
    machine.run("systemctl", "kill", "--signal=KILL", "ouroboros-steward.service")
    wait_until(lambda: "build.py" not in processes_of(previews, "ouroboros-preview2"), 60)

    def ended() -> dict:
        listed = previews.ouroboros("publishes", "--run-id", "run-2")["publishes"]
        found = next(each for each in listed if each["publish_id"] == queued["publish_id"])
        return found if found["state"] not in ("queued", "running") else {}

    wait_until(ended, 60)
    assert ended()["state"] == "ready", ended()
    left = machine.run("systemctl", "list-units", "--all", "--no-legend", "ouroboros-command-*")
    assert left.stdout == ""
    assert "ouroboros-command" not in machine.run("ls", "/srv/oroboros/steward").stdout
    assert previews.get(2, "/api/who")[0] == 200


def test_a_backend_that_cannot_be_stopped_with_its_lease_is_stopped_later(previews):
    machine = previews.machine
    reached, away = "/srv/oroboros/run/supervisor.sock", "/srv/oroboros/run/supervisor.away"
    unit = "ouroboros-backend@preview3.service"
    machine.run("mv", reached, away)
    try:
        previews.release(3)
        assert machine.properties(unit, "ActiveState")["ActiveState"] == "active"
    finally:
        machine.run("mv", away, reached)
    wait_until(lambda: machine.properties(unit, "ActiveState")["ActiveState"] == "inactive", 60)
    assert previews.publish(3, PORT_FILES)["status"] == 0


def test_a_cache_of_a_slots_tools_that_outgrew_its_limit_is_emptied(previews):
    machine = previews.machine
    cache = "/srv/oroboros/cache/preview-1/npm"
    before = machine.run("stat", "-c", "%U %a", cache).stdout
    machine.run("runuser", "-u", "ouroboros-preview1", "--", "sh", "-c",
                f"head -c 3000000 /dev/urandom > {cache}/package")  # fmt: skip
    slots = previews.ouroboros("slots")["slots"]
    fence = next(each["fence"] for each in slots if each["slot_id"] == "preview-1")
    asked = {"do": "backend.trim", "slot": "preview-1", "fence": fence, "limit_bytes": 1 << 20}
    code = f"""
import json, socket
s = socket.socket(socket.AF_UNIX)
s.connect("/srv/oroboros/run/supervisor.sock")
s.sendall(json.dumps({asked!r}).encode() + b"\\n")
print(s.makefile().readline())
"""
    done = machine.run("runuser", "-u", "ouroboros", "--", "/usr/bin/python3", "-c", code)
    assert json.loads(done.stdout)["freed_bytes"] > 2_900_000, done.stdout
    assert machine.run("ls", "-A", cache).stdout == ""
    assert machine.run("stat", "-c", "%U %a", cache).stdout == before
    wait_until(lambda: ".gone-" not in machine.run("ls", "-A", f"{cache}/..").stdout, 20)


def test_a_stop_ends_also_a_daemon_that_ignores_sigterm(previews):
    machine = previews.machine
    machine.run("curl", "-s", "--data-binary", "@-", "http://127.0.0.1:8101/api/do", stdin=STAY)
    assert processes_of(previews, "ouroboros-preview1").count("\n") == 2
    previews.ouroboros("backend", "stop", "--slot", "preview-1")
    assert processes_of(previews, "ouroboros-preview1") == ""
    previews.ouroboros("backend", "start", "--slot", "preview-1")
    assert previews.get(1, "/api/who")[0] == 200


def test_a_backend_that_cannot_come_up_is_given_up_told_and_started_again(previews):
    machine = previews.machine
    unit = "ouroboros-backend@preview1.service"
    machine.run("rm", "/srv/oroboros/steward/backend-preview1.env")
    machine.run("systemctl", "kill", "--signal=KILL", unit)
    wait_until(lambda: machine.properties(unit, "ActiveState")["ActiveState"] == "failed", 60)
    told = machine.json("/srv/oroboros/current/scripts/preview-slots-health-check.sh", check=False)
    assert {(each["slot_id"], each["item"]) for each in told["failing"]} >= {
        ("preview-1", "backend_unit")
    }
    assert {each["slot_id"] for each in told["failing"]} == {"preview-1"}
    previews.ouroboros("backend", "restart", "--slot", "preview-1")
    assert previews.unhealthy() == ""


def test_the_steward_refuses_what_is_not_of_a_slot(previews):
    """The control plane's user is not trusted with root: no place and no user is its to say."""
    machine = previews.machine
    code = """
import json, os, socket
def ask(path, request, fds=()):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect("/srv/oroboros/run/" + path)
    line = json.dumps(request).encode() + b"\\n"
    socket.send_fds(s, [line], fds) if fds else s.sendall(line)
    return json.loads(s.makefile().readline()).get("error", "DONE")
command = {"slot": "preview-1", "argv": ["id"], "cwd": "/", "env": {}, "time_limit_s": 5,
           "network": False}
own = "/srv/oroboros/releases/preview-1/p1/src"
out = os.open("/dev/null", os.O_WRONLY)
for change in ({}, {"cwd": "/srv/oroboros/releases/preview-2/p1/src"},
               {"cwd": own + "/../../../preview-2/p1/src"}, {"cwd": own, "slot": "../x"},
               {"cwd": own, "slot": "preview-9"}, {"cwd": own, "env": {"A B": "x"}},
               {"cwd": own, "argv": []}, {"cwd": own, "env": {"A": "x\\x00y"}}):
    print(ask("commands.sock", {**command, **change}, [out]))
spec = {"argv": ["id"], "cwd": "/etc", "env": {}, "listen": "socket", "health_path": "/",
        "log_path": "/etc/passwd", "publish_id": "p", "run_id": "r", "commit_sha": "c", "fence": 1}
print(ask("supervisor.sock", {"do": "backend.start", "slot": "preview-1", "spec": spec}))
spec["cwd"] = own
print(ask("supervisor.sock", {"do": "backend.start", "slot": "preview-1", "spec": spec}))
print(ask("supervisor.sock", {"do": "backend.stop", "slot": "preview-1", "fence": 0}))
"""
    before = machine.run("stat", "-c", "%U %a", "/etc/passwd").stdout
    done = machine.run("runuser", "-u", "ouroboros", "--", "/usr/bin/python3", "-c", code)
    answers = done.stdout.split()
    assert len(answers) == 11 and "DONE" not in answers, answers
    assert machine.run("stat", "-c", "%U %a", "/etc/passwd").stdout == before
    for user in ("ouroboros-preview1", "ouroboros-web", "nobody"):
        asked = machine.run(
            "runuser", "-u", user, "--", "/usr/bin/python3", "-c", code, check=False
        )
        assert "PermissionError" in asked.stderr, asked
