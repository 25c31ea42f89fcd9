"""A slot that eats all it can get, and backends that come and go: the others lose no request.

How long each flood lasts is short here; `make soak` lets each last for a minute.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.box.applications import FILES, PORT_FILES
from tests.box.host import Host
from tests.box.machine import wait_until

from ouroboros.plans.units.branches import cpu_share

LOAD = Path(__file__).with_name("load.py").read_text(encoding="utf-8")
FLOODS = {
    "processes": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass\n",
    "memory": "kept = []\nwhile True: kept.append(bytearray(1 << 24))\n",
    "disk": "import os\nat = 0\nwhile True:\n    at += 1\n    try:\n"
    "        with open(f'/tmp/{at}', 'wb') as file: file.write(bytes(1 << 24))\n"
    "    except OSError: pass\n",
    # To the log, as the backend's own output goes there.
    "output": "# to the log\nimport os\nwhile True: os.write(2, b'x' * 65535 + b'\\n')\n",
}


@pytest.fixture(scope="module")
def loaded(previews: Host) -> Iterator[Host]:
    """Three slots with the same application, of which the first misbehaves."""
    assert previews.publish(3, FILES)["status"] == 0
    yield previews
    previews.ouroboros("backend", "restart", "--slot", "preview-1")
    assert previews.publish(3, PORT_FILES)["status"] == 0


def load(host: Host, seconds: float, *slots: int, clients: int = 4) -> dict[str, object]:
    """Put load on slots and tell how it went."""
    argv = ("/usr/bin/python3", "-c", LOAD, str(seconds), str(clients), *map(str, slots))
    return json.loads(host.machine.run(*argv, limit_s=seconds + 120).stdout)


def test_a_backend_starts_on_a_whole_processor_and_then_has_its_share(loaded):
    names = "CPUQuotaPerSecUSec", "ExecStartPre", "ExecStartPost"
    unit = "ouroboros-backend@preview1.service"
    told = loaded.machine.run("systemctl", "show", f"--property={','.join(names)}", unit).stdout
    quota, *commands = (dict(line.split("=", 1) for line in told.splitlines())[n] for n in names)
    share_ms = int(cpu_share(os.cpu_count() or 1, 3).removesuffix("%")) * 10
    assert quota == (f"{share_ms}ms" if share_ms < 1000 else "1s")
    for command in commands:
        assert "set-property --runtime" in command
        assert "code=exited" in command and "status=0" in command, told


@contextmanager
def flooding(host: Host, code: str) -> Iterator[None]:
    """Let the first slot's backend run something, for as long as the block."""
    argv = host.machine.argv("curl", "-s", "--max-time", "600", "--data-binary", "@-",
                             "http://127.0.0.1:8101/api/do")  # fmt: skip
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as asking:
        assert asking.stdin is not None
        asking.stdin.write(code.encode())
        asking.stdin.close()
        try:
            yield
        finally:
            asking.kill()
            asking.wait()
            host.machine.run("systemctl", "kill", "--signal=KILL",
                             "ouroboros-backend@preview1.service", check=False)  # fmt: skip


def flood(host: Host, what: str, seconds: float) -> dict[str, object]:
    """Flood from the first slot with load on the two others."""
    wait_until(lambda: host.get(1, "/api/count")[0] == 200, 60)
    with flooding(host, FLOODS[what]):
        facts = load(host, seconds, 2, 3)
    # Also one that was given up on comes back when it is asked to.
    host.ouroboros("backend", "restart", "--slot", "preview-1")
    return facts


@pytest.mark.parametrize(
    "what",
    [
        each if each == "processes" else pytest.param(each, marks=pytest.mark.soak)
        for each in FLOODS
    ],
)
def test_a_flood_in_one_slot_costs_the_others_no_request(loaded, what, record_property):
    facts = flood(loaded, what, 4)
    record_property(what, json.dumps(facts))
    assert facts["failed"] == 0 and int(str(facts["requests"])) > 100, facts
    assert loaded.get(1, "/api/count")[0] == 200


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_floods_of_a_minute_cost_the_others_no_request(loaded, capsys):
    idle = load(loaded, 30, 2, 3)
    told = {"idle": idle, **{what: flood(loaded, what, 60) for what in FLOODS}}
    with capsys.disabled():
        print(json.dumps(told, indent=1))
    assert [facts["failed"] for facts in told.values()] == [0] * 5


@pytest.mark.parametrize("times", [2, pytest.param(10, marks=pytest.mark.soak)])
def test_restarts_under_load_lose_no_request(loaded, times, capsys):
    argv = ("/usr/bin/python3", "-c", LOAD, str(4 * times), "2", "1", "2", "3")
    with subprocess.Popen(loaded.machine.argv(*argv), stdout=subprocess.PIPE) as loading:
        for _ in range(times):
            for number in (1, 2, 3):
                loaded.ouroboros("backend", "restart", "--slot", f"preview-{number}")
        out, _ = loading.communicate(timeout=300)
    facts = json.loads(out)
    with capsys.disabled():
        print(json.dumps({"restarts": 3 * times, **facts}))
    assert facts["failed"] == 0 and facts["requests"] > 100, facts
