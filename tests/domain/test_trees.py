"""Trees that branch code made, deeper than a program can follow them, are removed all the same."""

import os
from pathlib import Path

import pytest

from ouroboros.adapters.build_caches import measure
from ouroboros.adapters.release_files import copy_built_files, remove_tree
from ouroboros.adapters.systemd.files import hand_over
from ouroboros.adapters.trees import empty_directory
from ouroboros.domain.errors import Failed

DEEPER_THAN_DESCRIPTORS_AND_PATHS = 3000


def make_deep(directory: Path, levels: int) -> None:
    inside = os.open(directory, os.O_RDONLY)
    for _ in range(levels):
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=inside))
        os.mkdir("down", dir_fd=inside)
        deeper = os.open("down", os.O_RDONLY, dir_fd=inside)
        os.close(inside)
        inside = deeper
    os.close(inside)


@pytest.fixture
def deep(tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    make_deep(tree, DEEPER_THAN_DESCRIPTORS_AND_PATHS)
    yield tree
    empty_directory(tmp_path)


def test_a_home_is_emptied_and_what_its_links_lead_to_stays(deep, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    (deep / "link").symlink_to(kept)
    empty_directory(deep)
    assert list(deep.iterdir()) == []
    assert (kept / "file").exists()


def test_a_release_is_removed(deep, tmp_path):
    remove_tree(deep)
    assert list(tmp_path.iterdir()) == []


def test_what_a_build_leaves_too_deep_is_removed_when_the_tree_is_taken_back(deep, tmp_path):
    hand_over(tmp_path, "tree", os.getuid(), os.getgid(), private=True)
    levels = sum(1 for _ in os.walk(deep))
    assert 100 < levels < 300


def test_a_repository_too_deep_is_refused(deep, tmp_path):
    with pytest.raises(Failed) as refused:
        hand_over(tmp_path, "tree", os.getuid(), os.getgid(), private=False)
    assert refused.value.code == "tree_too_deep"


def test_a_build_output_too_deep_is_refused_and_a_cache_is_measured(deep, tmp_path):
    with pytest.raises(Failed) as refused:
        copy_built_files(tmp_path, "tree", tmp_path / "copied")
    assert refused.value.code == "unsafe_build_output"
    assert measure(deep) > 0
