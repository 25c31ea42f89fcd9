"""Bytecode is taken over where the lock file is the same, and never to another place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ouroboros.services.publish.bytecode import take_over_bytecode

PACKAGE = Path(".venv/lib/python3/site-packages/package")


def make_backend(root: Path, lock: str) -> Path:
    """A backend directory whose one package was installed just now, with a fixed time."""
    (root / PACKAGE).mkdir(parents=True)
    (root / "uv.lock").write_text(lock)
    source = root / PACKAGE / "__init__.py"
    source.write_text("answer = 42\n")
    os.utime(source, (1_000_000_000, 1_000_000_000))
    return root


def compile_all(root: Path) -> None:
    run_python(root, "import package")


def run_python(root: Path, code: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-I", "-v", *options, "-c",
         f"import sys; sys.path.insert(0, {str((root / PACKAGE).parent)!r}); {code}"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stderr


@pytest.fixture
def before(tmp_path):
    root = make_backend(tmp_path / "before", "one")
    compile_all(root)
    return root


def caches_of(root: Path) -> list[Path]:
    return list((root / PACKAGE).glob("__pycache__/*.pyc"))


def test_python_takes_the_bytecode_of_the_release_before(before, tmp_path):
    after = make_backend(tmp_path / "after", "one")
    assert take_over_bytecode(before, after) == 1
    loaded = run_python(after, "import package; assert package.answer == 42")
    assert f"matches {after / PACKAGE / '__init__.py'}" in loaded


def test_python_compiles_again_what_is_another_file(before, tmp_path):
    after = make_backend(tmp_path / "after", "one")
    (after / PACKAGE / "__init__.py").write_text("answer = 43\n")
    assert take_over_bytecode(before, after) == 1
    run_python(after, "import package; assert package.answer == 43")


def test_another_lock_file_shares_nothing(before, tmp_path):
    after = make_backend(tmp_path / "after", "two")
    assert take_over_bytecode(before, after) == 0
    assert caches_of(after) == []


def test_what_is_there_already_stays(before, tmp_path):
    after = make_backend(tmp_path / "after", "one")
    compile_all(after)
    inode = caches_of(after)[0].stat().st_ino
    take_over_bytecode(before, after)
    assert caches_of(after)[0].stat().st_ino == inode


@pytest.mark.parametrize("link", [".venv", PACKAGE.parent, PACKAGE, PACKAGE / "__pycache__"])
@pytest.mark.parametrize("side", ["before", "after"])
def test_no_link_leads_out_of_either_release(before, tmp_path, link, side):
    after = make_backend(tmp_path / "after", "one")
    outside = tmp_path / "outside"
    linked = (before if side == "before" else after) / link
    if linked.exists():
        linked.rename(outside)
    else:
        outside.mkdir()
    linked.symlink_to(outside)
    listed = sorted(outside.rglob("*"))
    take_over_bytecode(before, after)
    assert sorted(outside.rglob("*")) == listed
    if side == "before":
        assert caches_of(after) == []


def test_a_release_without_an_environment_is_no_error(tmp_path):
    (tmp_path / "empty").mkdir()
    assert take_over_bytecode(tmp_path / "empty", tmp_path / "nothing") == 0
