"""A switch holds visitors back; whoever undoes it for a killed worker lets them go."""

from types import SimpleNamespace

from ouroboros.adapters.web_roots import WebRoots
from ouroboros.domain.slot import make_pool
from ouroboros.services.publish.switch import undo_switch

SLOT = make_pool().by_number(1)


def undo(roots: WebRoots, tmp_path, fence: int) -> None:
    publish = SimpleNamespace(slot=SLOT, fence=fence)
    backends = SimpleNamespace(web_roots=roots)
    undo_switch(SimpleNamespace(publish=publish, backends=backends, release=tmp_path / "p2"))


def test_what_a_killed_worker_held_back_goes_on_when_its_switch_is_undone(tmp_path):
    roots = WebRoots(tmp_path)
    roots.hold(SLOT, 3, 4e9)
    undo(roots, tmp_path, 3)
    assert not (roots.directory(SLOT) / "hold").exists()


def test_an_old_fence_lets_nobody_go(tmp_path):
    roots = WebRoots(tmp_path)
    roots.hold(SLOT, 4, 4e9)
    undo(roots, tmp_path, 3)
    assert (roots.directory(SLOT) / "hold").exists()
