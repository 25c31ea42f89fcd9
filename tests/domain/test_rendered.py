"""Rendered files and documented tables say what the slot module says."""

import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ouroboros.domain.errors import PreviewError
from ouroboros.domain.slot import make_pool
from ouroboros.entrypoints.reference import SOURCE, render_reference
from ouroboros.entrypoints.reference.error_codes import read_error_codes
from ouroboros.plans.infrastructure import render_caddyfile, render_infrastructure
from ouroboros.settings import accepted_settings

HOME = Path(__file__).resolve().parents[2]
POOL = make_pool(domain="example.com")
RENDERED = render_infrastructure(POOL, 8088)
REFERENCE = render_reference(HOME)
CADDY = shutil.which("caddy")


@pytest.mark.parametrize("path", RENDERED)
def test_a_committed_file_is_what_is_rendered(path):
    assert (HOME / path).read_text(encoding="utf-8") == RENDERED[path], "run: ouroboros render"


@pytest.mark.parametrize("path", REFERENCE)
def test_the_reference_is_what_the_code_says(path):
    assert (HOME / path).read_text(encoding="utf-8") == REFERENCE[path], "run: ouroboros render"


def test_every_code_that_the_house_compares_with_is_in_the_reference():
    known = read_error_codes(SOURCE)
    text = "\n".join(path.read_text("utf-8") for path in SOURCE.rglob("*.py"))
    compared = set(re.findall(r'\.code [!=]= "([a-z_]+)"', text))
    assert compared
    assert compared - set(known) == set()


def test_a_code_of_a_new_module_is_found_with_what_it_says(tmp_path):
    (tmp_path / "new.py").write_text(
        "def f(slot, why):\n"
        "    code = 'first' if why else 'second'\n"
        "    raise Refused(code, f'{slot.id} is {why}', hint='ouroboros slots')\n"
        "def g(failure):\n    raise TimedOut(failure, 'late')\n"
        "def h():\n    g('third')\n"
    )
    found = read_error_codes(tmp_path)
    assert list(found) == ["first", "second", "third"]
    assert found["second"].sayings == {("{id} is {why}", "ouroboros slots")}
    assert {kind.exit_code for kind in found["third"].kinds} == {124}


def test_a_code_that_cannot_be_followed_is_not_left_out_in_silence(tmp_path):
    (tmp_path / "new.py").write_text("def f():\n    raise Refused(made_up(), 'text')\n")
    with pytest.raises(PreviewError, match="code_not_followed"):
        read_error_codes(tmp_path)


def test_the_slot_table_of_the_contract_is_the_slot_modules():
    text = (HOME / "docs/fullstack-preview-slot-runtime-contract.md").read_text("utf-8")
    for slot in POOL:
        row = (
            f"| `{slot.id}` | `{slot.alias}` | `{slot.host_name}` | {slot.web_port} "
            f"| {slot.api_port} | `{slot.database.name}` | `{slot.web_unit}` "
            f"| `{slot.backend_unit}` | `{slot.web_root}` |"
        )
        assert row in text


def test_every_setting_is_documented_and_every_documented_setting_is_one():
    table = (HOME / "docs/configuration.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `(OUROBOROS_[A-Z_]+|SLOT_IDS_CSV)`", table, re.MULTILINE))
    assert documented == set(accepted_settings())


@pytest.mark.skipif(CADDY is None, reason="there is no Caddy on this machine")
def test_caddy_routes_each_host_to_its_own_surface_and_no_other(tmp_path):
    """The real Caddy with the rendered file: by host name, unknown hosts 421."""
    servers = [HTTPServer(("127.0.0.1", 0), answering(str(number))) for number in (1, 2)]
    for server in servers:
        Thread(target=server.serve_forever, daemon=True).start()
    port = free_port()
    text = render_caddyfile(make_pool("preview-1,preview-2", "example.com"), port)
    for number, server in enumerate(servers, start=1):
        text = text.replace(f"127.0.0.1:{3100 + number}", f"127.0.0.1:{server.server_port}")
    file = tmp_path / "Caddyfile"
    file.write_text(text)
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    argv = [str(CADDY), "run", "--config", str(file), "--adapter", "caddyfile"]
    with subprocess.Popen(argv, env=environment, stderr=subprocess.DEVNULL) as caddy:
        try:
            assert asked(port, "preview1.example.com") == (200, "1")
            assert asked(port, "preview2.example.com") == (200, "2")
            assert asked(port, "preview3.example.com")[0] == 421
            assert asked(port, "evil.example")[0] == 421
        finally:
            caddy.terminate()
            caddy.wait(10)
    for server in servers:
        server.shutdown()
        server.server_close()


def answering(text: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *arguments):
            pass

    return Handler


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def asked(port: int, host: str) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": host})
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, ""
        except OSError:
            assert time.monotonic() < deadline, "Caddy does not answer"
            time.sleep(0.05)
