"""The page is built from a lock file that works anywhere, and asks for nothing from outside."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from .conftest import EXAMPLES, run

FRONTEND = EXAMPLES / "toolshed" / "frontend"


def test_the_lock_file_names_no_registry_and_runs_no_install_scripts() -> None:
    packages = json.loads((FRONTEND / "package-lock.json").read_text())["packages"]
    assert [name for name, entry in packages.items() if "resolved" in entry] == []
    assert [
        name
        for name, entry in packages.items()
        # fsevents is macOS's file watcher, and is not installed elsewhere.
        if entry.get("hasInstallScript") and not name.endswith("/fsevents")
    ] == []


def test_the_lock_file_is_complete_for_every_platform() -> None:
    packages = json.loads((FRONTEND / "package-lock.json").read_text())["packages"]
    for name, entry in packages.items():
        for wanted in entry.get("optionalDependencies", {}):
            assert "integrity" in packages.get(f"node_modules/{wanted}", {}), f"{name}: {wanted}"


def test_the_page_is_built_with_hashed_assets_and_nothing_from_outside(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not on PATH: the example page cannot be built")
    project = tmp_path / "frontend"
    shutil.copytree(FRONTEND, project, ignore=shutil.ignore_patterns("node_modules", "dist"))
    environment = os.environ | {"VITE_API_BASE_URL": "/api", "VITE_SLOT_ID": "preview-2"}
    run("npm", "ci", "--prefer-offline", cwd=project)
    run("npm", "run", "check", env=environment, cwd=project)
    run("npm", "run", "build", env=environment, cwd=project)
    page = (project / "dist" / "index.html").read_text()
    assets = re.findall(r'(?:src|href)="(/[^"]+)"', page)
    assert {
        path for path in assets if not re.fullmatch(r"/assets/index-[\w-]{8}\.(js|css)", path)
    } == {"/favicon.svg"}
    texts = [page] + [(project / "dist" / path[1:]).read_text() for path in assets]
    # Names of XML vocabularies are no addresses that anybody asks.
    outside = {url for text in texts for url in re.findall(r"https?://[\w.]+", text)}
    assert outside <= {"http://www.w3.org"}
    assert any('"preview-2"' in text or "`preview-2`" in text for text in texts)
