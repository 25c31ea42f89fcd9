"""Publishing what was built elsewhere, and publishing the same again to compare it."""

import json
import os
import urllib.request
from pathlib import Path

import pytest
from tests.publish.applications import BUILD, PREVIEW_TOML, SERVER

# A front end that can only come from outside, and a backend in a directory of its own.
TOML = PREVIEW_TOML.replace(
    "[backend]", '[backend]\ndir = "api"\ninstall = ["python3", "install.py"]'
).replace('"python3", "server.py"', '"./serve"')
FILES: dict[str, str | None] = {
    "preview.toml": TOML,
    "build.py": "raise SystemExit('nothing is built here')",
    "api/install.py": "raise SystemExit('nothing is installed here')",
    "server.py": None,
}


def make_prebuilt(directory: Path) -> Path:
    (directory / "web/assets").mkdir(parents=True)
    (directory / "web/index.html").write_text("<!doctype html><title>built elsewhere</title>")
    (directory / "web/assets/app-BxK2f9aQ.js").write_text("elsewhere()")
    (directory / "backend").mkdir()
    serve = directory / "backend/serve"
    serve.write_text("#!/usr/bin/env python3\n" + SERVER)
    serve.chmod(0o755)
    return directory


def publish(bench, prebuilt: Path):
    bench.repository.commit("prebuilt", FILES)
    return bench.instance.ouroboros(
        "publish", "--run-id", bench.run_id, "--repo", str(bench.repository.path),
        "--ref", "prebuilt", "--prebuilt", str(prebuilt),
    )  # fmt: skip


def test_a_prebuilt_front_end_and_backend_are_published_without_building(bench, tmp_path):
    done = publish(bench, make_prebuilt(tmp_path / "pre built"))
    assert done.status == 0, done
    assert bench.served() == done.document["commit_sha"]
    port = bench.instance.web_port(bench.number)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/assets/app-BxK2f9aQ.js") as answer:
        assert answer.read() == b"elsewhere()"


@pytest.mark.parametrize("kind", ["link to a file", "link to a directory", "hard link", "pipe"])
@pytest.mark.parametrize("part", ["web", "backend"])
def test_only_regular_files_are_taken(bench, tmp_path, part, kind):
    prebuilt = make_prebuilt(tmp_path / "prebuilt")
    secret = tmp_path / "secret"
    secret.write_text("secret")
    bad = prebuilt / part / "bad"
    match kind:
        case "link to a file":
            bad.symlink_to(secret)
        case "link to a directory":
            bad.symlink_to(tmp_path)
        case "hard link":
            bad.hardlink_to(secret)
        case "pipe":
            os.mkfifo(bad)
    done = publish(bench, prebuilt)
    assert done.status == 1, done
    assert done.document["error"] == "unsafe_build_output"
    assert done.document["failed_step"] == "source"


def test_a_part_that_is_itself_a_link_is_not_followed(bench, tmp_path):
    prebuilt = make_prebuilt(tmp_path / "prebuilt")
    (prebuilt / "web").rename(tmp_path / "outside")
    (prebuilt / "web").symlink_to(tmp_path / "outside")
    done = publish(bench, prebuilt)
    assert done.document["error"] == "build_output_missing", done


def test_what_cannot_be_used_is_refused_and_said(bench, tmp_path):
    (tmp_path / "empty").mkdir()
    empty = publish(bench, tmp_path / "empty")
    assert empty.document["error"] == "prebuilt_not_found", empty
    (tmp_path / "api/backend").mkdir(parents=True)
    bench.repository.commit("no-directory", {})
    unexpected = bench.instance.ouroboros(
        "publish", "--run-id", bench.run_id, "--repo", str(bench.repository.path),
        "--ref", "no-directory", "--prebuilt", str(tmp_path / "api"),
    )  # fmt: skip
    assert unexpected.document["error"] == "prebuilt_not_expected", unexpected


def test_nobody_but_a_local_program_may_name_a_directory(bench, tmp_path):
    token = bench.instance.ouroboros("token", "create", "--scope", "operate", "--name", "remote")
    assert token.status == 0, token
    asked = {"run_id": bench.run_id, "repo": "/x", "ref": "main", "prebuilt": "/etc"}
    request = urllib.request.Request(
        f"http://127.0.0.1:{bench.instance.api_port}/api/publishes",
        json.dumps(asked).encode(),
        {
            "Content-Type": "application/json",
            "Host": "localhost",
            "Authorization": f"Bearer {token.document['token']}",
        },
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    with refused.value as answer:
        assert json.loads(answer.read())["error"] == "prebuilt_is_local"


def test_a_publish_is_reproduced_in_another_slot_and_compared(bench):
    done = bench.publish({"build.py": BUILD})
    assert done.status == 0, done
    again = bench.instance.ouroboros("reproduce", done.document["publish_id"], "--release")
    assert again.status == 0, again
    assert again.document["slot_id"] != bench.slot_id
    assert again.document["equal"] is True
    assert again.document["database_fingerprint_equal"] is True
    assert again.document["built_files"] == 1


def test_a_build_that_is_not_deterministic_is_not_reproduced(bench):
    clock = BUILD + '(out / "when.txt").write_text(str(__import__("time").time_ns()))'
    done = bench.publish({"build.py": clock})
    assert done.status == 0, done
    again = bench.instance.ouroboros("reproduce", done.document["publish_id"], "--release")
    assert again.status == 1, again
    assert again.document["error"] == "not_reproduced"
    assert again.document["first_difference"] == "when.txt"
    assert again.document["database_fingerprint_equal"] is True
