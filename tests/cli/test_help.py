"""What is printed without the parser, and the manual page, say what the parser says."""

import shutil
import subprocess
from pathlib import Path

import pytest

from ouroboros.entrypoints.cli.main import HELP_FILE
from ouroboros.entrypoints.reference.commands import read_program, render_help

HOME = Path(__file__).resolve().parents[2]
MANUAL = HOME / "man" / "ouroboros.1"


def test_the_committed_help_is_what_the_parser_says():
    assert HELP_FILE.read_text(encoding="utf-8") == render_help(), "run: ouroboros render"


@pytest.mark.skipif(shutil.which("groff") is None, reason="there is no groff on this machine")
def test_groff_has_nothing_to_say_about_the_manual_page():
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tascii", "-P-cbou", str(MANUAL)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    shown = done.stdout.splitlines()
    wanted = {f"ouroboros {command.name}" for command in read_program().commands}
    assert wanted - {line.strip() for line in shown} == set()


@pytest.mark.skipif(shutil.which("man") is None, reason="there is no man on this machine")
def test_man_shows_the_page():
    done = subprocess.run(
        ["man", "--warnings", "-P", "cat", "-l", str(MANUAL)],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80"},
    )
    assert done.stderr == ""
    assert "full-stack previews on fixed slots" in done.stdout
