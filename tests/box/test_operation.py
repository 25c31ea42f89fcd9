"""What an operator has of a host: metrics, bundles, backups, protected previews, allowed egress."""

import json
import tarfile

import pytest
from tests.box.applications import FILES, PREVIEW
from tests.box.host import Host
from tests.box.machine import wait_until

SOCKET = "/srv/oroboros/run/api.sock"
_DO = ("curl", "-s", "--max-time", "30", "--data-binary", "@-", "http://127.0.0.1:8101/api/do")


def inside(host: Host, code: str) -> str:
    """What a program in the backend of slot 1 prints."""
    return json.loads(host.machine.run(*_DO, stdin=code).stdout)["out"]


def test_metrics_are_told_to_a_token_that_may_read_and_to_nobody_else(previews):
    url = "http://127.0.0.1:8000/metrics"
    assert "401" in previews.machine.run("curl", "-si", url).stdout.splitlines()[0]
    token = previews.ouroboros("token", "create", "--name", "prometheus")["token"]
    told = previews.machine.run("curl", "-s", "-H", f"Authorization: Bearer {token}", url).stdout
    values = dict(line.rsplit(" ", 1) for line in told.splitlines() if line[0] != "#")
    for part in ("control", "slots", "databases", "disk"):
        assert values[f'ouroboros_part_up{{part="{part}"}}'] == "1.0"
    assert float(values['ouroboros_worker_heartbeat_age_seconds{host="local"}']) < 30
    assert float(values['ouroboros_publishes_total{state="ready"}']) >= 3


def test_a_bundle_holds_units_and_journals_and_no_secret(previews):
    machine = previews.machine
    made = previews.ouroboros("support-bundle", "/root/bundle.tar.gz")
    assert made["unread"] == {}, made
    texts = {}
    with tarfile.open(machine.inside("/root/bundle.tar.gz")) as archive:
        for entry in archive:
            texts[entry.name.partition("/")[2]] = archive.extractfile(entry).read().decode()
    assert "ouroboros-worker.service" in texts["units.txt"]
    assert texts["journal/ouroboros-worker.service.txt"].strip()
    assert "findings" in json.loads(texts["doctor.json"])
    secrets = set()
    for path in machine.inside("/srv/oroboros/secrets").rglob("*"):
        if path.suffix == ".password":
            secrets.add(path.read_text())
        elif path.name == "control.env":
            secrets.add(path.read_text().split('"')[1])
    assert len(secrets) > 3
    assert [(name, s) for name, text in texts.items() for s in secrets if s in text] == []
    machine.run("rm", "/root/bundle.tar.gz")


def test_a_lost_control_plane_comes_back_and_previews_go_on(previews):
    machine = previews.machine
    before = {each["slot_id"]: each for each in previews.ouroboros("slots")["slots"]}
    previews.ouroboros("backup", "/root/control.tar.gz")
    machine.run(
        "runuser", "-u", "postgres", "--", "psql", "-q", "ouroboros_control",
        "-c", "DROP OWNED BY ouroboros_admin CASCADE; "
        "CREATE SCHEMA IF NOT EXISTS public; GRANT ALL ON SCHEMA public TO ouroboros_admin",
        check=False,
    )  # fmt: skip
    done = previews.ouroboros("restore", "/root/control.tar.gz", "--without-present")
    after = {each["slot_id"]: each for each in previews.ouroboros("slots")["slots"]}
    for slot_id, slot in before.items():
        assert after[slot_id]["run_id"] == slot["run_id"]
        assert after[slot_id]["publish_id"] == slot["publish_id"]
        assert after[slot_id]["fence"] == done["fences"][slot_id] > slot["fence"]
    previews.wait_healthy(60)
    assert previews.get(1, "/api/who")[0] == 200
    published = previews.publish(1, FILES)
    assert published["status"] == 0, published
    assert int(published["publish_id"][1:]) > max(int(s["publish_id"][1:]) for s in before.values())
    # What the superuser made is there still; nothing is left to provision in the cluster.
    changes = previews.provision("--dry-run")["changes"]
    assert [each for each in changes if each["what"] in ("role", "pg_hba")] == []
    machine.run("rm", "/root/control.tar.gz")


@pytest.fixture
def protected(previews):
    previews.provision(OUROBOROS_PROTECTION="password")
    previews.wait_healthy(60)
    yield previews
    previews.provision(OUROBOROS_PROTECTION="off")
    previews.wait_healthy(60)


def test_a_protected_preview_lets_in_who_knows_the_password_and_stays_healthy(protected):
    password = protected.ouroboros("protection", "--slot", "preview-1")["password"]
    for path in ("/", "/api/who", "/health"):
        status, text = protected.get(1, path)
        assert status == 401 and "preview-1" not in text, (path, text)
    known = {"X-Preview-Token": password}
    assert "preview-1" in protected.get(1, "/", **known)[1]
    assert protected.get(2, "/", **known)[0] == 401
    counted = protected.machine.run(
        "curl", "-s", "-H", "Host: preview1.example.com", "-H", f"X-Preview-Token: {password}",
        "--data-binary", "x" * 70_000, "http://127.0.0.1:8088/api/count",
    )  # fmt: skip
    assert json.loads(counted.stdout) == {"got": 70_000}
    renewed = protected.ouroboros("protection", "--slot", "preview-1", "--renew")["password"]
    assert protected.get(1, "/", **known)[0] == 401
    assert protected.get(1, "/", **{"X-Preview-Token": renewed})[0] == 200


CONNECT = """
import socket
for address in ("198.51.100.7", "203.0.113.7", "169.254.169.254", "127.0.0.1"):
    try:
        socket.create_connection((address, 8000 if address == "127.0.0.1" else 15433), 3).close()
        print("THROUGH", address)
    except OSError as error:
        print("refused:", address, error.strerror)
"""


@pytest.fixture
def elsewhere(previews):
    """Addresses that play other machines, on which something listens."""
    machine = previews.machine
    for address in ("198.51.100.7", "203.0.113.7"):
        machine.run("ip", "address", "add", f"{address}/32", "dev", "lo")
    listen = "import socket, time\ns = socket.create_server(('0.0.0.0', 15433))\ntime.sleep(3600)"
    machine.run("systemd-run", "--quiet", "--unit=elsewhere", "/usr/bin/python3", "-c", listen)
    wait_until(lambda: "15433" in machine.run("ss", "-ltn").stdout, 20)
    previews.provision(OUROBOROS_BACKEND_EGRESS="198.51.100.0/24")
    previews.wait_healthy(60)
    yield previews
    machine.run("systemctl", "stop", "elsewhere.service")
    for address in ("198.51.100.7", "203.0.113.7"):
        machine.run("ip", "address", "delete", f"{address}/32", "dev", "lo")
    previews.provision(OUROBOROS_BACKEND_EGRESS="none")
    assert previews.publish(1, FILES)["status"] == 0


def asking(network: str) -> dict[str, str]:
    preview = PREVIEW.replace('health = "/health"', f'health = "/health"\negress = ["{network}"]')
    return {**FILES, "preview.toml": preview}


def test_a_backend_reaches_what_it_asked_for_and_the_operator_allows_and_nothing_else(elsewhere):
    machine = elsewhere.machine
    assert "THROUGH" not in inside(elsewhere, CONNECT)
    refused = elsewhere.publish(1, asking("203.0.113.7"))
    assert refused["status"] == 1 and refused["failed_step"] == "source", refused
    assert "egress_not_allowed" in json.dumps(refused)
    assert elsewhere.publish(1, asking("198.51.100.7"))["status"] == 0
    out = inside(elsewhere, CONNECT)
    assert "THROUGH 198.51.100.7" in out and out.count("refused:") == 3, out
    bind = "import socket\ntry:\n    socket.create_server(('127.0.0.1', 3999)); print('bound')\n"
    assert "bound" not in inside(elsewhere, bind + "except OSError as e:\n    print(e.strerror)")
    # Its neighbour has what it had, and it has nothing any more once it does not ask.
    unit = "ouroboros-backend@preview2.service"
    assert machine.properties(unit, "PrivateNetwork")["PrivateNetwork"] == "yes"
    assert elsewhere.publish(1, FILES)["status"] == 0
    assert "THROUGH" not in inside(elsewhere, CONNECT)
    unit = "ouroboros-backend@preview1.service"
    assert machine.properties(unit, "PrivateNetwork")["PrivateNetwork"] == "yes"
