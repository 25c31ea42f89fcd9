"""make_repository.py makes the same commits everywhere, and can be run again."""

import os
import subprocess
from pathlib import Path

import pytest

from ouroboros.adapters.application_files import read_application

from .conftest import EXAMPLES, run

SCRIPT = EXAMPLES / "make_repository.py"
APPS = ("toolshed", "static-site", "api-alone", "node-api")


def test_the_commits_depend_on_the_files_alone(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "gitconfig").write_text(
        "[user]\nname = Somebody\n[commit]\ngpgsign = true\n[init]\ndefaultBranch = trunk\n"
        "[core]\nautocrlf = true\n"
    )
    elsewhere = os.environ | {
        "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"),
        "GIT_AUTHOR_NAME": "Somebody",
        "TZ": "Pacific/Kiritimati",
    }
    target = tmp_path / "a directory with spaces"
    printed = run("sh", "-c", 'umask 077; exec python3 "$@"', "sh", SCRIPT, target, env=elsewhere)
    assert printed == run("python3", SCRIPT, repository)
    names = [line.split(" ")[1] for line in printed.splitlines()]
    assert names == ["main", "codex/run-demo-page", "codex/run-demo-reservations"]
    authors = run("git", "-C", target, "log", "--all", "--format=%an <%ae> %cn")
    assert set(authors.splitlines()) == {"Toolshed <toolshed@example.com> Toolshed"}
    assert run("git", "-C", target, "status", "--porcelain") == ""
    assert run("git", "-C", target, "fsck", "--strict") == ""


def test_what_is_there_already_is_kept(tmp_path: Path) -> None:
    made = run("python3", SCRIPT, tmp_path)
    ours = ("-c", "user.name=T", "-c", "user.email=toolshed@example.com")
    run("git", "-C", tmp_path, *ours, "commit", "--quiet", "--allow-empty", "-m", "Go on")
    (tmp_path / "README").write_text("mine")
    run("git", "-C", tmp_path, "branch", "-D", "codex/run-demo-page")
    head = run("git", "-C", tmp_path, "rev-parse", "main").strip()
    again = run("python3", SCRIPT, tmp_path)
    assert again.splitlines()[0] == f"{head} main"
    # The branch that was missing is the same commit as before, on the main of the script.
    assert again.splitlines()[1:] == made.splitlines()[1:]
    assert (tmp_path / "README").read_text() == "mine"


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("mine")
    done = subprocess.run(
        ["python3", SCRIPT, tmp_path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "is not empty" in done.stderr) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["letters"]


@pytest.mark.parametrize("app", APPS)
def test_every_application_is_recognised_from_its_repository(app: str, tmp_path: Path) -> None:
    run("python3", SCRIPT, "--app", app, tmp_path)
    application = read_application(tmp_path)
    assert application.frontend or application.backend
    assert (tmp_path / "preview.toml").exists() == (app != "toolshed")
    tracked = set(run("git", "-C", tmp_path, "ls-files").splitlines())
    assert not {path for path in tracked if "node_modules" in path or ".venv" in path}
