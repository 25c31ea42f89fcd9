"""What is kept of publishes and builds is kept for a time and up to a size, and no longer."""

import os
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from tests.instance import running_instance
from tests.local.conftest import until
from tests.publish.applications import BUILD
from tests.publish.conftest import make_bench

from ouroboros.adapters.build_caches import measure, remove_aside, set_aside_if_over
from ouroboros.client import Client
from ouroboros.services.publish.removal import remove_or_tell

MIB = 1 << 20


@pytest.fixture(scope="module")
def instance():
    with running_instance(
        OUROBOROS_KEEP_RELEASES="1",
        OUROBOROS_KEEP_ARTIFACTS_DAYS="2",
        OUROBOROS_ARTIFACTS_LIMIT_BYTES=str(2 * MIB),
        OUROBOROS_CACHE_LIMIT_BYTES=str(MIB),
    ) as running:
        yield running


@pytest.fixture
def bench(instance, tmp_path):
    with make_bench(instance, tmp_path) as made:
        yield made


@pytest.fixture
def api(instance):
    return Client(instance.state_dir / "run" / "api.sock")


def fill(path: Path, mebibytes: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(mebibytes * MIB))


def test_artifacts_go_by_age_and_size_and_never_those_of_a_kept_release(instance, bench, api):
    publishes = []
    for text in ("old", "large", "small", "kept"):
        done = bench.publish({"public/index.html": text})
        assert done.status == 0, done
        publishes.append(done.document["publish_id"])
    old, large, small, kept = publishes
    artifacts = instance.state_dir / "artifacts"
    for each, mebibytes in ((large, 2), (kept, 3)):
        fill(artifacts / each / "picture.png", mebibytes)
    for age_s, each in ((5 * 86400, old), (5 * 86400, kept), (7200, large), (3600, small)):
        os.utime(artifacts / each, (time.time() - age_s,) * 2)

    answer = api.post("/api/host/collect")

    assert sorted(answer["artifacts"]) == sorted([old, large])
    assert {path.name for path in artifacts.iterdir()} >= {small, kept}
    assert not (artifacts / old).exists() and not (artifacts / large).exists()
    assert api.get(f"/api/publishes/{old}")["artifacts"] == []
    assert api.get(f"/api/publishes/{small}")["artifacts"] != []
    page = f"http://127.0.0.1:{instance.api_port}/publishes/{old}"
    with urllib.request.urlopen(page, timeout=20) as shown:
        assert shown.status == 200
    events = api.get("/api/events?limit=20")["events"]
    assert any(event["kind"] == "artifacts.collected" for event in events)
    again = api.post("/api/host/collect")
    assert (again["artifacts"], again["releases"]) == ([], [])


def test_a_cache_that_outgrew_its_limit_is_emptied_when_nothing_is_built(instance, bench, api):
    cache = instance.state_dir / "cache" / bench.slot_id
    fill(cache / "npm" / "content" / "package", 2)
    fill(cache / "web" / "a-kept-build" / "index.html", 2)
    waiting = bench.instance.state_dir / "go-on"
    code = f"import os, time\nwhile not os.path.exists({str(waiting)!r}): time.sleep(0.05)\n{BUILD}"
    bench.repository.commit("work", {"build.py": code})
    argv = ("publish", "--run-id", bench.run_id, "--repo", str(bench.repository.path), "--ref",
            "work", "--detach")  # fmt: skip
    publish_id = instance.ouroboros(*argv).document["publish_id"]

    assert bench.slot_id not in api.post("/api/host/collect")["cache_bytes"]
    assert (cache / "npm" / "content" / "package").exists()

    waiting.touch()
    until(lambda: api.get(f"/api/publishes/{publish_id}")["state"] == "ready", 60)
    assert api.post("/api/host/collect")["cache_bytes"][bench.slot_id] >= 2 * MIB
    assert list((cache / "npm").iterdir()) == []
    assert (cache / "web" / "a-kept-build").is_dir(), "kept builds are counted, not measured"
    assert bench.publish({"build.py": BUILD}).status == 0


def test_a_cache_is_measured_on_disk_and_followed_nowhere(tmp_path):
    outside, cache = tmp_path / "outside", tmp_path / "cache"
    fill(outside / "not ours", 4)
    fill(cache / "uv" / "package", 1)
    (cache / "uv" / "second name").hardlink_to(cache / "uv" / "package")
    (cache / "uv" / "link").symlink_to(outside)
    du = subprocess.run(
        ["du", "-s", "--block-size=1", str(cache / "uv")],
        capture_output=True,
        text=True,
        check=True,
    )
    own = (cache / "uv").stat().st_blocks * 512
    assert measure(cache / "uv") == int(du.stdout.split()[0]) - own

    assert set_aside_if_over(cache, 2 * MIB) == (0, [])
    (cache / "uv").chmod(0o700)
    freed_bytes, aside = set_aside_if_over(cache, MIB // 2)
    assert MIB <= freed_bytes < 2 * MIB
    assert list((cache / "uv").iterdir()) == [] and (cache / "uv").stat().st_mode & 0o777 == 0o700
    # A process that died here left it to the next one.
    assert set_aside_if_over(cache, MIB)[1] == aside
    remove_aside(aside)
    assert sorted(path.name for path in cache.iterdir()) == ["uv"]
    assert (outside / "not ours").stat().st_size == 4 * MIB


def test_what_cannot_be_removed_is_told_and_keeps_nothing_else(tmp_path, capfd):
    kept = tmp_path / "file"
    kept.write_text("no directory")
    (tmp_path / "release").mkdir()
    assert not remove_or_tell(kept / "release")
    assert remove_or_tell(tmp_path / "release")
    assert remove_or_tell(tmp_path / "release"), "another collection removed it"
    assert "not removed" in capfd.readouterr().out
