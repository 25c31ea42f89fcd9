"""Every command of the customer's document works as written against a running instance.

The commands are read from `docs/preview-runtime-slots.md` itself, so a command that is added
there is run here. Only what the document leaves open is filled in (`<run_id>`,
`<snapshot_version>`), and the ports of this test's instance replace the fixed ones.
"""

import json
import re
import shlex
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from tests.instance import HOME

DOCUMENT = HOME / "docs" / "preview-runtime-slots.md"
COMMANDS = [
    line.strip()
    for block in re.findall(r"```bash\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
SCRIPTS = [command for command in COMMANDS if command.startswith("./scripts/")]
SURFACES = [command for command in COMMANDS if command.startswith("python3 ")]


def check_runtime(ran, published):
    assert ran.document["slot_id"] == "preview-1"
    assert {"pid", "port", "since", "commit_sha", "db_name", "health", "log_file"} <= set(
        ran.document
    )


def check_health(ran, published):
    assert {slot["slot_id"] for slot in ran.document["slots"]} == {
        "preview-1", "preview-2", "preview-3",
    }  # fmt: skip


def check_reset(ran, published):
    assert ran.document["db_name"] == "app_preview_1"
    assert ran.document.get("dry_run") or ran.document["fingerprint"]


def check_allocate(ran, published):
    assert ran.document["lease_state"] == "leased"
    assert ran.document["reset"]["status"] == "completed"


def check_migrate(ran, published):
    assert ran.document["db_name"] == "app_preview_1"


def check_nothing(ran, published):
    assert ran.document["ok"] is True


CHECKS = {
    "preview-backend-runtime.sh": check_runtime,
    "preview-slots-provision.sh": check_nothing,
    "preview-slots-health-check.sh": check_health,
    "preview-db-reset.sh": check_reset,
    "preview-db-seed.sh": check_reset,
    "preview-db-reset-and-seed.sh": check_reset,
    "preview-slot-migrate.sh": check_migrate,
    "preview-slot-allocate.sh": check_allocate,
}


@pytest.fixture(scope="module")
def snapshot_version(published) -> str:
    taken = published.instance.ouroboros(
        "db", "snapshot", "--slot", "preview-1", "--name", "after-the-page"
    )
    assert taken.status == 0, taken
    return "after-the-page"


def test_the_document_is_the_customers_and_holds_its_commands():
    assert len(SCRIPTS) >= 15
    assert len(SURFACES) == 3
    assert {Path(shlex.split(command)[0]).name for command in SCRIPTS} == set(CHECKS)


@pytest.mark.parametrize("command", SCRIPTS)
def test_a_script_of_the_document_works_as_written(command, published, snapshot_version):
    filled = command.replace("<run_id>", "demo-page").replace(
        "<snapshot_version>", snapshot_version
    )
    script, *arguments = shlex.split(filled)
    ran = published.instance.command([str(HOME / script), *arguments], LC_ALL="C")
    assert ran.status == 0, ran
    assert ran.document["ok"] is True
    CHECKS[Path(script).name](ran, published)


@pytest.mark.parametrize("command", SURFACES)
def test_a_surface_can_be_run_directly_and_says_when_it_is_served_already(command, published):
    instance = published.instance
    number = int(re.search(r"web-preview-(\d)", command).group(1))
    places = {
        f"310{number}": str(instance.web_port(number)),
        f"http://127.0.0.1:810{number}": f"http://127.0.0.1:{instance.backend_port(number)}",
        "scripts/run-web-surface.py": str(HOME / "scripts/run-web-surface.py"),
        f"infra/web-preview-{number}": str(instance.state_dir / f"infra/web-preview-{number}"),
    }
    argv = [places.get(word, word) for word in shlex.split(command)]
    ran = instance.command(argv)
    assert ran.status == 0, ran
    assert ran.document["already_serving"] is True


def test_direct_port_mode_serves_page_and_api_without_any_proxy(published):
    """The fallback of the document: a surface of one's own on another port, same slot."""
    instance = published.instance
    root = instance.state_dir / "infra" / "web-preview-2"
    argv = ["python3", str(HOME / "scripts/run-web-surface.py"), "--root", str(root), "--port", "0",
            "--api-target", f"http://127.0.0.1:{instance.backend_port(2)}"]  # fmt: skip
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=instance.environ, text=True) as surface:
        try:
            port = json.loads(surface.stdout.readline())["port"]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/slots", timeout=10) as got:
                assert "preview-2" in got.read().decode()
        finally:
            surface.terminate()
            began = time.monotonic()
            assert surface.wait(20) == 0
            assert time.monotonic() - began < 20


def test_the_backend_lets_the_previews_own_page_call_it_directly(published):
    """CORS for direct calls from the page to the backend, as the document asks."""
    instance = published.instance
    for origin, allowed in (
        (f"http://preview1.localhost:{instance.web_port(1)}", True),
        (f"http://127.0.0.1:{instance.web_port(1)}", True),
        ("http://evil.example", False),
    ):
        request = urllib.request.Request(
            f"http://127.0.0.1:{instance.backend_port(1)}/api/slots", headers={"Origin": origin}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            granted = answer.headers.get("Access-Control-Allow-Origin")
        assert (granted == origin) is allowed
