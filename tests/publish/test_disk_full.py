"""A full disk below the state directory: the publish fails, and everything is well afterwards."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.instance import Instance, make_instance
from tests.publish.applications import BUILD
from tests.publish.conftest import make_bench
from tests.publish.test_crashes import wait_until

FILL = (
    BUILD
    + """
with open("dist/big", "wb") as big:
    while True:
        big.write(b"x" * (1 << 20))
        big.flush()
"""
)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")


@pytest.fixture
def small_disk() -> Iterator[Instance]:
    """An instance whose whole state lies on a disk of 300 MB."""
    directory = Path(tempfile.mkdtemp(prefix="ouro-full-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300m,mode=755", "tmpfs", str(directory)], check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this machine does not let root mount a tmpfs")
    instance = make_instance(directory)
    try:
        started = instance.up()
        assert started.status == 0, started
        yield instance
    finally:
        instance.down()
        subprocess.run(["umount", "-l", str(directory)], check=True)
        shutil.rmtree(directory, ignore_errors=True)


def test_a_build_that_fills_the_disk_fails_and_gives_the_space_back(small_disk, tmp_path):
    with make_bench(small_disk, tmp_path) as bench:
        first = bench.publish()
        assert first.status == 0, first
        failed = bench.publish({"build.py": FILL})
        assert failed.status in (1, 3), failed
        assert failed.document["ok"] is False
        # PostgreSQL may have stopped for want of room; it comes back by itself.
        wait_until(lambda: small_disk.ouroboros("slots").status == 0, 60)
        wait_until(lambda: bench.served() == first.document["commit_sha"], 60)
        again = bench.publish({"marker": "after"})
        assert again.status == 0, again
        assert bench.served() == again.document["commit_sha"]


def test_a_state_directory_that_cannot_be_written_is_told_before_anything_starts(tmp_path):
    (tmp_path / "state").write_text("in the way")
    instance = make_instance(tmp_path)
    refused = instance.up()
    assert refused.status != 0
    assert refused.document["error"] == "state_dir_unwritable", refused
