"""Branch, tag and commit id lead to the commit they name, and nothing else is taken for one."""

import subprocess

import pytest
from tests.publish.conftest import Bench

from ouroboros.plans import git
from ouroboros.plans.layout import Layout


@pytest.fixture
def tagged(bench: Bench) -> str:
    """The commit that a light tag and an annotated one name."""
    commit = bench.repository.commit("work", {})
    bench.repository.git("tag", "light", commit)
    bench.repository.git("tag", "-m", "a note", "annotated", commit)
    return commit


@pytest.mark.parametrize("ref", ["work", "light", "annotated", "the full id"])
def test_each_is_served_as_the_commit_it_names(bench, tagged, ref):
    done = bench.instance.publish(
        bench.run_id, bench.repository.path, tagged if ref == "the full id" else ref
    )
    assert done.status == 0, done
    assert done.document["commit_sha"] == tagged
    assert bench.served() == tagged


def test_a_branch_that_names_a_tag_is_refused(bench, tagged):
    """git itself makes no such branch; who writes its files can."""
    tag = bench.repository.git("rev-parse", "refs/tags/annotated")
    assert tag != tagged
    (bench.repository.path / ".git" / "refs" / "heads" / "odd").write_text(f"{tag}\n")
    done = bench.instance.publish(bench.run_id, bench.repository.path, "odd")
    assert done.document["error"] == "ref_not_found", done
    assert bench.served() is None


def test_a_branch_that_has_not_moved_is_found_where_its_mirror_was_tidied(bench, tagged):
    publish = (bench.run_id, bench.repository.path, "work")
    assert bench.instance.publish(*publish).status == 0
    mirror = Layout(bench.instance.state_dir).mirror(str(bench.repository.path))
    subprocess.run(["git", "pack-refs", "--all"], cwd=mirror, check=True)
    assert not (mirror / git.WANTED).exists()
    again = bench.instance.publish(*publish)
    assert (again.status, again.document["commit_sha"]) == (0, tagged), again
