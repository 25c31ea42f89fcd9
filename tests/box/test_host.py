"""A host from nothing to three previews, through a kill of everything, to nothing again."""

import json
import time
from collections.abc import Iterator

import pytest
from tests.box.applications import FILES, PORT_FILES, version
from tests.box.example import REFS, bring_example
from tests.box.host import Host
from tests.box.machine import wait_until

OURS = "ouroboros-api ouroboros-worker ouroboros-steward ouroboros-caddy"


def units(host: Host, pattern: str = "ouroboros*") -> dict[str, str]:
    """Our loaded units and their states."""
    shown = host.machine.run(
        "systemctl", "list-units", "--all", "--plain", "--no-legend", pattern
    ).stdout
    rows = [line.split() for line in shown.splitlines()]
    return {row[0]: row[2] for row in rows if row[1] == "loaded"}


def started_at(host: Host) -> dict[str, str]:
    """When each service was started last."""
    return {
        unit: host.machine.properties(unit, "ExecMainStartTimestampMonotonic", "MainPID")["MainPID"]
        for unit, state in units(host).items()
        if state == "active" and unit.endswith(".service")
    }


def test_provisioning_again_changes_and_restarts_nothing(host):
    before = started_at(host)
    assert len(before) >= 7
    assert host.provision()["changes"] == []
    assert host.provision("--check")["status"] == 0
    assert started_at(host) == before


def test_a_dry_run_shows_the_difference_and_changes_nothing(host):
    unit = "/etc/systemd/system/ouroboros-api.service"
    text = host.machine.inside(unit).read_text()
    host.machine.write(unit, text.replace("RestartSec=500ms", "RestartSec=9"))
    try:
        dry = host.provision("--dry-run")
        [change] = [each for each in dry["changes"] if each["path"] == unit]
        assert "-RestartSec=9" in change["diff"] and "+RestartSec=500ms" in change["diff"]
        assert "RestartSec=9" in host.machine.inside(unit).read_text()
        checked = host.provision("--check", check=False)
        assert (checked["status"], checked["error"]) == (1, "host_drifted")
    finally:
        host.provision()
    assert host.machine.inside(unit).read_text() == text
    assert host.provision("--check")["status"] == 0


def test_what_is_deleted_or_has_a_wrong_owner_is_mended(host):
    machine = host.machine
    machine.run("rm", "/srv/oroboros/ouroboros.env", "/etc/systemd/system/ouroboros-web@.service")
    machine.run("chown", "root:root", "/srv/oroboros/homes/preview-1")
    machine.run("chmod", "777", "/srv/oroboros/secrets")
    changed = {each["path"]: each["change"] for each in host.provision()["changes"]}
    assert changed["/srv/oroboros/homes/preview-1"].startswith("owner root:root")
    assert changed["/srv/oroboros/secrets"] == "mode 777 → 700"
    assert changed["/srv/oroboros/ouroboros.env"] == "create"
    assert host.provision("--check")["status"] == 0
    host.wait_healthy(90)


def test_each_slot_serves_its_own_page_backend_and_database_through_the_router(previews):
    for number in (1, 2):
        status, page = previews.get(number)
        assert status == 200 and f"preview-{number} one" in page
        status, told = previews.get(number, "/api/who")
        who = json.loads(told)
        assert who["database"] == who["role"] == f"app_preview_{number}"
        assert who["slot"] == f"preview-{number}"
        uid = previews.machine.run("id", "-u", f"ouroboros-preview{number}").stdout
        assert who["uid"] == int(uid)
    assert previews.get(3, "/api/x")[0] == 200
    assert previews.unhealthy() == ""


def test_a_backend_sees_its_own_environment_and_nothing_of_systemd_or_the_worker(previews):
    who = json.loads(previews.get(1, "/api/who")[1])
    allowed = {
        "SLOT_ID", "SLOT_NUM", "SLOT_BACKEND_PORT", "SLOT_DB_NAME", "SLOT_WORKTREE_PATH",
        "DATABASE_URL", "RUN_ID", "COMMIT_SHA", "PREVIEW_URL", "PATH", "LANG", "TZ", "HOME",
        "PREVIEW_NONCE", "PREVIEW_HEALTH_PATH", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
        "LISTEN_FDNAMES", "LC_CTYPE",
    }  # fmt: skip
    assert set(who["env"]) <= allowed


def test_what_answers_visitors_counts_more_than_what_else_is_done(previews):
    machine = previews.machine

    def shown(unit: str) -> tuple[str, int]:
        told = machine.properties(unit, "Slice", "CPUWeight")
        weight = told["CPUWeight"]
        return told["Slice"], int(weight) if weight.isdigit() else 100

    assert machine.properties("previews.slice", "CPUWeight")["CPUWeight"] == "1000"
    assert machine.properties("ouroboros.slice", "CPUWeight")["CPUWeight"] == "20"
    for unit in ("ouroboros-web@preview1.service", "ouroboros-caddy.service"):
        assert shown(unit) == ("previews.slice", 1000)
    assert shown("ouroboros-backend@preview1.service") == ("previews.slice", 100)
    assert shown("ouroboros-candidate@preview1.service") == ("ouroboros.slice", 20)
    assert shown("ouroboros-worker.service")[0] == "system.slice"


def test_a_second_publish_takes_over_and_a_broken_one_leaves_it_serving(previews):
    assert previews.publish(1, version("two"))["status"] == 0
    assert json.loads(previews.get(1, "/api/who")[1])["version"] == "two"
    assert "preview-1 two" in previews.get(1)[1]
    broken = previews.publish(1, {**version("three"), "server.py": "raise SystemExit('no')"})
    assert (broken["status"], broken["failed_step"]) == (1, "readiness")
    assert json.loads(previews.get(1, "/api/who")[1])["version"] == "two"
    assert previews.publish(1, FILES)["status"] == 0


@pytest.fixture
def example(previews: Host) -> Iterator[Host]:
    """Three branches of the example in the three slots."""
    repository = bring_example(previews)
    for number, ref in enumerate(REFS, start=1):
        previews.release(number)
        done = previews.publish_from(number, repository, ref)
        assert done["status"] == 0, json.dumps(done, indent=1)[:6000]
    yield previews
    for number, files in ((1, FILES), (2, FILES), (3, PORT_FILES)):
        previews.release(number)
        assert previews.publish(number, files)["status"] == 0


def test_the_example_in_three_slots_is_healthy_again_after_a_kill_of_everything(
    example, record_property
):
    machine = example.machine
    commits = {json.loads(example.get(number, "/health")[1])["commit_sha"] for number in (1, 2, 3)}
    assert len(commits) == 3
    assert example.unhealthy() == ""
    tools = example.get(1, "/api/tools")[1]
    assert "Toolshed" in example.get(1)[1] and json.loads(tools)
    running = [unit for unit, pid in started_at(example).items() if pid != "0"]
    assert len(running) >= 10, running
    machine.run("systemctl", "kill", "--signal=KILL", *running)
    began = time.monotonic()
    example.wait_healthy(60)
    wait_until(lambda: [example.get(n, "/api/tools")[0] for n in (1, 2, 3)] == [200] * 3, 60)
    record_property("healed_s", round(time.monotonic() - began, 2))
    assert example.get(1, "/api/tools")[1] == tools
    assert {json.loads(example.get(n, "/health")[1])["commit_sha"] for n in (1, 2, 3)} == commits


def test_killing_everything_at_once_heals_by_itself(previews, record_property):
    machine = previews.machine
    running = [unit for unit, pid in started_at(previews).items() if pid != "0"]
    assert len(running) >= 10, running
    machine.run("systemctl", "kill", "--signal=KILL", *running)
    began = time.monotonic()
    previews.wait_healthy(60)
    wait_until(lambda: previews.get(1, "/api/who")[0] == previews.get(3, "/api/x")[0] == 200, 60)
    record_property("healed_s", round(time.monotonic() - began, 2))
    assert "preview-1 one" in previews.get(1)[1]


def test_the_health_check_names_what_is_not_well_and_the_next_command(previews):
    script = "/srv/oroboros/current/scripts/preview-slots-health-check.sh"
    machine = previews.machine
    machine.run("systemctl", "stop", "ouroboros-web@preview2.service")
    try:
        done = machine.run(script, check=False)
        told = json.loads(done.stdout)
        assert (done.returncode, told["error"]) == (3, "slots_unhealthy")
        found = {(each["slot_id"], each["item"]): each for each in told["failing"]}
        assert found["preview-2", "web_unit"]["found"].startswith("inactive")
        assert found["preview-2", "web_unit"]["next"] == (
            "journalctl -u ouroboros-web@preview2 -n 50"
        )
        assert {slot for slot, _ in found} == {"preview-2"}
    finally:
        machine.run("systemctl", "start", "ouroboros-web@preview2.service")
    assert previews.unhealthy() == ""


def test_the_health_check_sees_a_stranger_on_a_port_and_the_api_missing(previews):
    machine = previews.machine
    machine.run("systemctl", "stop", "ouroboros-web@preview3.service", "ouroboros-api.service")
    page = "python3 -m http.server --bind 127.0.0.1 3103"
    machine.run("systemd-run", "--quiet", "--unit=stranger", "sh", "-c", page)
    try:
        wait_until(lambda: "3103" in machine.run("ss", "-ltn").stdout, 20)
        told = machine.json(
            "/srv/oroboros/current/scripts/preview-slots-health-check.sh", check=False
        )
        found = {(each["slot_id"], each["item"]): each["found"] for each in told["failing"]}
        assert "http.server" in found["preview-3", "web_port"]
        assert found["host", "ouroboros-api"].startswith("inactive")
    finally:
        machine.run("systemctl", "stop", "stranger.service")
        machine.run("systemctl", "start", "ouroboros-web@preview3.service", "ouroboros-api.service")
    previews.wait_healthy(90)


def test_the_router_knows_the_slots_and_nobody_else(previews):
    machine = previews.machine
    curl = ("curl", "-s", "-k", "-i", "--resolve", "preview1.example.com:443:127.0.0.1")
    page = machine.run(*curl, "https://preview1.example.com/").stdout
    assert "200" in page.splitlines()[0] and "noindex" in page and "nosniff" in page.lower()
    other = machine.run(*curl, "-H", "Host: evil.example", "https://preview1.example.com/").stdout
    assert "421" in other.splitlines()[0]
    own = ("curl", "-s", "-k", "-i", "--resolve", "ouroboros.example.com:443:127.0.0.1")
    shown = machine.run(*own, "https://ouroboros.example.com/").stdout
    assert "sign-in" in shown.lower(), "a stranger is asked who they are"
    told = machine.run(*own, "https://ouroboros.example.com/api/slots").stdout
    assert "401" in told.splitlines()[0]
    gate = machine.run(*own, "https://ouroboros.example.com/preview-gate/preview-1").stdout
    assert "404" in gate.splitlines()[0]
    plain = machine.run("curl", "-si", "-H", "Host: x.example", "http://127.0.0.1:8088/").stdout
    assert "421" in plain.splitlines()[0]
    mode = machine.run("stat", "-c", "%a %U %F", "/run/ouroboros-caddy/admin.sock").stdout
    assert mode.split()[1] == "ouroboros-caddy" and mode.split()[0][1:] == "00", mode
    listening = machine.run("ss", "-ltn").stdout
    assert ":2019" not in listening


def test_a_visitor_cannot_say_who_they_are(previews):
    seeing = "    SEEN.update((k.decode(), v.decode()) for k, v in scope.get('headers', ()))\n"
    server = FILES["server.py"].replace("send):\n", f"send):\n{seeing}", 1)
    server = server.replace(
        '    return 404, {"error"', "    return 200, SEEN\n    return 404, {'error'"
    )
    server = server.replace("'error': \"not_found\"", "'error': 1") + "\nSEEN = {}\n"
    assert previews.publish(2, {**FILES, "server.py": server})["status"] == 0
    forged = {"X-Forwarded-User": "root", "Remote-User": "root", "X-Kept": "yes"}
    seen = json.loads(previews.get(2, "/api/headers", **forged)[1])
    assert seen["x-kept"] == "yes"
    assert "remote-user" not in seen and "x-forwarded-user" not in seen
    assert previews.publish(2, FILES)["status"] == 0


def test_a_restart_of_postgres_heals_without_a_person(previews, postgres):
    previews.machine.run("systemctl", "restart", postgres)
    previews.wait_healthy(90)
    wait_until(lambda: previews.get(1, "/api/who")[0] == 200, 30)


def test_a_killed_backend_is_started_again_and_its_port_stays_held(previews):
    machine = previews.machine
    unit = "ouroboros-backend@preview2.service"
    before = machine.properties(unit, "MainPID")["MainPID"]
    machine.run("systemctl", "kill", "--signal=KILL", unit)
    # The connection waits in the listener that systemd holds.
    assert previews.get(2, "/api/who", port=8102)[0] == 200
    assert machine.properties(unit, "MainPID")["MainPID"] != before


def test_a_release_stops_the_backend_and_lets_go_of_its_port(previews):
    previews.ouroboros("release", "--run-id", "run-3", "--slot", "preview-3")
    wait_until(lambda: "ouroboros-backend@preview3.socket" not in active(previews), 20)
    assert previews.get(3, "/health", port=8103)[0] == 0
    assert previews.publish(3, PORT_FILES)["status"] == 0


def active(host: Host) -> list[str]:
    return [unit for unit, state in units(host).items() if state == "active"]


def test_timers_do_their_work(previews):
    for name in ("reap", "collect"):
        previews.machine.run("systemctl", "start", f"ouroboros-{name}.service")
