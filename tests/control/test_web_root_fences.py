"""The web root of a slot follows the highest fence it has seen, whoever was frozen meanwhile."""

import os
import signal
from pathlib import Path

import pytest

from ouroboros.adapters import web_roots
from ouroboros.adapters.web_roots import WebRoots
from ouroboros.domain.errors import Refused
from ouroboros.domain.failpoint import armed, stop_here
from ouroboros.domain.slot import make_pool

SLOT = make_pool().by_number(1)


@pytest.fixture
def roots(tmp_path: Path) -> WebRoots:
    return WebRoots(tmp_path)


def release(tmp_path: Path, name: str) -> Path:
    directory = tmp_path / "releases" / name
    directory.mkdir(parents=True)
    return directory


def test_a_lower_fence_changes_nothing(roots, tmp_path):
    live, old = release(tmp_path, "live"), release(tmp_path, "old")
    roots.switch(SLOT, live, 8)
    for change in (
        lambda: roots.switch(SLOT, old, 7),
        lambda: roots.clear(SLOT, 7),
        lambda: roots.tell(SLOT, 7, "failed"),
    ):
        with pytest.raises(Refused) as refused:
            change()
        assert refused.value.code == "stale_fence"
    assert roots.live_release(SLOT) == live
    assert not (roots.directory(SLOT) / "state.json").exists()


def test_the_fence_is_remembered_by_the_next_process(roots, tmp_path):
    roots.clear(SLOT, 8)
    with pytest.raises(Refused):
        WebRoots(tmp_path).clear(SLOT, 7)
    WebRoots(tmp_path).clear(SLOT, 8)


def test_a_process_frozen_between_the_comparison_and_the_rename_never_switches_late(
    roots, tmp_path, monkeypatch
):
    """Nobody passes it while it may still wake; killed, it gives the web root back."""
    old, new = release(tmp_path, "old"), release(tmp_path, "new")
    monkeypatch.setattr(web_roots, "_BUSY_AFTER_S", 0.2)
    frozen = fork_and_freeze(lambda: roots.switch(SLOT, old, 7))
    try:
        with pytest.raises(Refused) as refused:
            roots.switch(SLOT, new, 8)
        assert refused.value.code == "web_root_busy"
    finally:
        os.kill(frozen, signal.SIGKILL)
        os.waitpid(frozen, 0)
    roots.switch(SLOT, new, 8)
    assert roots.live_release(SLOT) == new


def fork_and_freeze(act) -> int:
    """A child that stops itself where the fence was compared; returns when it has."""
    child = os.fork()
    if child == 0:
        try:
            with armed("web_root.fence_compared", stop_here):
                act()
        finally:  # the child must never return into pytest
            os._exit(0)
    _, status = os.waitpid(child, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    return child
