"""A first preview.toml: what is proposed is what the house reads, for what lies in examples/."""

import json
import subprocess
from pathlib import Path

import pytest

from ouroboros.adapters.application_files import read_application
from ouroboros.domain.application import parse_application
from ouroboros.entrypoints.cli.init import read_tree
from ouroboros.plans.proposal import propose

HOME = Path(__file__).resolve().parents[2]
EXAMPLES = HOME / "examples"


def proposed(directory: Path):
    proposal = propose(read_tree(directory))
    assert proposal is not None
    return parse_application(proposal.text())


def lay_out(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def test_the_example_is_proposed_as_the_convention_reads_it():
    by_convention = read_application(EXAMPLES / "toolshed")
    found = proposed(EXAMPLES / "toolshed")
    assert found.frontend == by_convention.frontend
    assert found.backend == by_convention.backend
    assert found.migrate == by_convention.migrate


def test_the_small_examples_are_recognised():
    site = proposed(EXAMPLES / "static-site")
    assert (site.frontend.dir, site.frontend.output, site.backend) == ("site", ".", None)
    node = proposed(EXAMPLES / "node-api")
    assert node.backend.start == ("npm", "start")
    assert node.frontend.dir == "public"


@pytest.mark.parametrize(
    ("files", "start", "health"),
    [
        ({"manage.py": "", "pyproject.toml": ""},
         (".venv/bin/python", "manage.py", "runserver", "--noreload", "127.0.0.1:{port}"), "/"),
        ({"app.py": "from flask import Flask\nweb = Flask(__name__)\n", "uv.lock": ""},
         (".venv/bin/python", "-m", "flask", "--app", "app:web", "run", "--port", "{port}"), "/"),
        ({"src/shop/main.py": 'api: FastAPI = FastAPI()\n@api.get("/healthz")\n', "uv.lock": ""},
         (".venv/bin/python", "{launcher.asgi}", "shop.main:api"), "/healthz"),
        ({"tests/test_app.py": "app = FastAPI()\n", "app/__init__.py": "app = FastAPI()\n"},
         ("python3", "{launcher.asgi}", "app:app"), "/"),
        ({"server/package.json": '{"scripts": {"start": "node ."}, "dependencies": {"x": "1"}}'},
         ("npm", "start"), "/health"),
    ],
)  # fmt: skip
def test_backends_are_recognised(tmp_path, files, start, health):
    backend = proposed(lay_out(tmp_path, files)).backend
    assert backend.start == start
    assert backend.health == health
    assert backend.listen == ("socket" if "{launcher.asgi}" in start else "port")


def test_front_ends_say_where_their_build_lies(tmp_path):
    package = {"scripts": {"build": "x"}, "dependencies": {"next": "15"}}
    lay_out(tmp_path, {"web/package.json": json.dumps(package), "web/package-lock.json": "{}"})
    frontend = proposed(tmp_path).frontend
    assert (frontend.dir, frontend.output, frontend.install) == ("web", "out", ("npm", "ci"))


def test_what_is_odd_in_a_repository_is_text(tmp_path):
    lay_out(
        tmp_path,
        {"package.json": "[", "frontend/package.json": '{"scripts": 1}', "index.html": "<p>"},
    )
    (tmp_path / "backend").symlink_to("/")
    assert proposed(tmp_path).backend is None


def test_the_command_writes_once_and_says_what_it_saw(tmp_path):
    lay_out(tmp_path, {"index.html": "<p>"})
    program = [str(HOME / "scripts" / "ouroboros"), "init", str(tmp_path), "--json"]
    first = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    again = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert json.loads(first.stdout)["reasons"] == ["index.html is served as it lies there"]
    assert parse_application((tmp_path / "preview.toml").read_text()).backend is None
    assert json.loads(again.stdout)["error"] == "file_exists"


def test_an_empty_directory_is_told(tmp_path):
    assert propose(read_tree(tmp_path)) is None
