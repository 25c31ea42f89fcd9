"""The small applications answer as their preview.toml promises."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from ouroboros.adapters.application_files import read_application
from ouroboros.domain.application import SmokeCheck

from .conftest import EXAMPLES, free_port, process, until_it_answers

ENVIRONMENT = {"PATH": os.environ["PATH"], "COMMIT_SHA": "c0ffee"}


def _as_promised(client: httpx.Client, checks: tuple[SmokeCheck, ...]) -> None:
    assert checks
    for check in checks:
        answer = client.get(check.path)
        assert (answer.status_code, check.contains in answer.text) == (check.status, True), check


def test_the_api_that_binds_its_own_port_answers_as_promised() -> None:
    directory, port = EXAMPLES / "api-alone", free_port()
    application = read_application(directory)
    assert application.backend
    assert application.backend.listen == "port"
    argv = [part.replace("{port}", str(port)) for part in application.backend.start]
    argv[0] = sys.executable
    with (
        process(
            *argv,
            env=ENVIRONMENT | {"MOON_SLOT": "preview-3"},
            cwd=directory,
            stderr=subprocess.DEVNULL,
        ),
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        health = until_it_answers(client)
        assert health.json() == {"status": "ok", "slot_id": "preview-3", "commit_sha": "c0ffee"}
        _as_promised(client, application.smoke)


def test_the_node_api_takes_over_the_listener_it_inherits() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not on PATH: the Node.js example cannot be run")
    directory = EXAMPLES / "node-api"
    application = read_application(directory)
    assert application.backend
    assert application.backend.listen == "socket"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        # Python moves the listener to descriptor 3, where sd_listen_fds(3) says it is.
        launcher = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])"
        )
        environment = ENVIRONMENT | {"LISTEN_FDS": "1", "PORT": "1", "WORDS_SLOT": "preview-2"}
        argv = (sys.executable, "-c", launcher, listener.fileno(), node, "server.js")
        inherited = (listener.fileno(),)
        with (
            process(*argv, env=environment, cwd=directory, pass_fds=inherited),
            httpx.Client(base_url=base_url) as client,
        ):
            # The listener is there before the server: the request waits in its queue.
            health = client.get("/health", timeout=20)
            assert health.json()["slot_id"] == "preview-2"
            api = tuple(check for check in application.smoke if check.path.startswith("/api"))
            _as_promised(client, api)


@pytest.mark.parametrize("app", ["static-site", "node-api"])
def test_a_page_without_a_build_holds_what_its_smoke_checks_look_for(app: str) -> None:
    application = read_application(EXAMPLES / app)
    assert application.frontend
    assert not application.frontend.build
    root: Path = EXAMPLES / app / application.frontend.dir / application.frontend.output
    for check in application.smoke:
        if check.path.startswith("/api"):
            continue
        file = root / ("index.html" if check.path == "/" else check.path[1:])
        assert file.is_file() == (check.status == 200)
        assert check.status != 200 or check.contains in file.read_text()
