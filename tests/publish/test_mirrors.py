"""Mirrors of repositories do not grow for ever, and no publish notices that they do not."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from tests.publish.applications import Repository, make_repository
from tests.publish.conftest import Bench, make_bench

from ouroboros.adapters.command_runner import ProcessRunner
from ouroboros.adapters.file_lock import exclusive_file
from ouroboros.client import Client
from ouroboros.domain.slot import make_pool
from ouroboros.plans import git
from ouroboros.plans.layout import Layout
from ouroboros.services.publish.mirrors import Mirrors

DAY_S = 86400


def mirrors_of(layout: Layout) -> Mirrors:
    return Mirrors(layout, ProcessRunner("tested"), os.environ["PATH"], keep_days=30)


def unused_for(mirror: Path, days: int) -> None:
    used = mirror.with_suffix(".config")
    os.utime(used, (time.time() - days * DAY_S,) * 2)


class Fetched:
    """A mirror that was fetched into as publishes do it."""

    def __init__(self, directory: Path) -> None:
        self.repository: Repository = make_repository(directory / "origin")
        self.layout = Layout(directory / "state")
        repo = str(self.repository.path)
        self.mirror, config = self.layout.mirror(repo), self.layout.git_config(repo)
        self.mirror.parent.mkdir(parents=True)
        config.write_text(git.configuration(repo))
        self.env = git.environment({"PATH": os.environ["PATH"], "HOME": str(directory)}, config)
        self.run(git.initialise(self.mirror, self.env))

    def run(self, command) -> str:
        done = subprocess.run(
            command.argv, cwd=command.cwd, env=command.env, check=True, stdout=subprocess.PIPE
        )
        return done.stdout.decode().strip()

    def fetch(self, number: int) -> str:
        """Fetch a commit with enough files for a pack of its own; returns its id."""
        files = {f"{number}/{each}": f"{number} {each}" for each in range(120)}
        commit = self.repository.commit("work", files)
        self.run(git.fetch(self.mirror, str(self.repository.path), "work", self.env))
        return commit

    def packs(self) -> int:
        return len(list(self.mirror.glob("objects/pack/*.pack")))

    def holds(self, commit: str) -> bool:
        argv = ["git", "cat-file", "-e", commit]
        return subprocess.run(argv, cwd=self.mirror, env=self.env, check=False).returncode == 0


@pytest.fixture
def fetched(tmp_path) -> Fetched:
    return Fetched(tmp_path)


def test_what_many_fetches_left_is_packed_and_nothing_of_today_is_lost(fetched):
    commits = [fetched.fetch(number) for number in range(24)]
    assert fetched.packs() == 24
    left = (fetched.mirror / "packed-refs.lock", fetched.mirror / "objects/pack/.tmp-1-pack-x")
    for each in left:  # of a git that was killed
        each.touch()
    assert mirrors_of(fetched.layout).collect() == []
    assert fetched.packs() <= 2
    assert not any(each.exists() for each in left)
    assert all(fetched.holds(each) for each in commits)
    assert fetched.run(git.resolve(fetched.mirror, fetched.env)) == commits[-1]
    # A branch that has not moved is found as well as one that has.
    fetched.run(git.fetch(fetched.mirror, str(fetched.repository.path), "work", fetched.env))
    assert fetched.run(git.resolve(fetched.mirror, fetched.env)) == commits[-1]
    newer = fetched.fetch(99)
    assert fetched.run(git.resolve(fetched.mirror, fetched.env)) == newer


def test_a_mirror_goes_when_nothing_was_published_from_it_for_long_and_no_release_is_of_it(
    fetched, tmp_path
):
    mirrors, mirror = mirrors_of(fetched.layout), fetched.mirror
    release = tmp_path / "release"
    fetched.run(git.add_worktree(mirror, release, fetched.fetch(1), fetched.env))
    unused_for(mirror, 31)
    assert mirrors.collect() == []
    release.rename(tmp_path / "collected")
    unused_for(mirror, 29)
    assert mirrors.collect() == []
    unused_for(mirror, 31)
    with exclusive_file(mirror.with_suffix(".lock"), lambda: None):
        assert mirrors.collect() == [], "a publish is at work in it"
    assert mirror.exists()
    half_removed = mirror.parent / ".gone-of-one-that-died"
    half_removed.mkdir()
    assert mirrors.collect() == [mirror.name]
    assert not mirror.exists()
    assert not half_removed.exists()
    assert mirrors.collect() == []


def test_one_that_cannot_be_tidied_is_told_and_keeps_nothing_else(fetched, capfd):
    fetched.fetch(1)
    broken = fetched.mirror.with_name("0.git")
    broken.mkdir()
    unused_for(fetched.mirror, 31)
    assert mirrors_of(fetched.layout).collect() == [fetched.mirror.name]
    assert "not tidied" in capfd.readouterr().out


def test_the_next_publish_makes_a_mirror_that_was_removed_and_goes_on(limited_instance, tmp_path):
    with make_bench(limited_instance, tmp_path) as bench:
        assert bench.publish().status == 0
        mirror = mirror_of(bench)
        assert mirror.is_dir()
        releases = Layout(limited_instance.state_dir).releases(make_pool().parse(bench.slot_id))
    unused_for(mirror, 31)
    api = Client(limited_instance.state_dir / "run" / "api.sock")
    assert mirror.name not in api.post("/api/host/collect")["mirrors"], "its release is there"
    shutil.rmtree(releases)  # as when other runs have had the slot since
    assert mirror.name in api.post("/api/host/collect")["mirrors"]
    with make_bench(limited_instance, tmp_path / "again") as bench:
        bench.repository = Repository(tmp_path / "a repo")
        done = bench.publish()
        assert done.status == 0, done
        assert bench.served() == done.document["commit_sha"]
    assert mirror.is_dir()


def mirror_of(bench: Bench) -> Path:
    return Layout(bench.instance.state_dir).mirror(str(bench.repository.path))
