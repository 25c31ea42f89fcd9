"""A publish that fails names its step, says why, and leaves the preview that was served."""

import json
import subprocess
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.publish.applications import BUILD, LINK, PREVIEW_TOML, SERVER
from tests.publish.conftest import make_bench

from ouroboros.plans.layout import Layout

ENDLESS = "import time\nprint('building', flush=True)\ntime.sleep(600)\n"
FLOOD = "import sys\nwhile True: sys.stdout.write('x' * 65536)\n"
TRICKLE = SERVER.replace(
    "self.end_headers()",
    "self.end_headers()\n        import time\n        while True:"
    " self.wfile.write(b'x'); self.wfile.flush(); time.sleep(0.2)",
).replace("str(len(body))", "'1000000'")
DAEMON = (
    BUILD
    + """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for fd in (0, 1, 2): os.close(fd)
        os.execvp("sleep", ["sleep", "4242"])
    os._exit(0)
"""
)


def link(target: str) -> str:
    return BUILD + f"\nimport os\nos.symlink({target!r}, 'dist/leak')\n"


def migration(argv: str) -> str:
    return PREVIEW_TOML + f"[database]\nmigrate = {argv}\n"


def start(argv: str) -> str:
    return PREVIEW_TOML.replace('["python3", "server.py", "{port}"]', argv)


def environment(value: str) -> str:
    return PREVIEW_TOML.replace("[[smoke]]", f'env = {{ DATABASE_URL = "{value}" }}\n[[smoke]]')


NEIGHBOUR = "postgresql://app_preview_99:x@/app_preview_98?host=/run"
CASES = {
    "a build that fails": ({"build.py": "raise SystemExit('no such thing')"}, "frontend",
                           "frontend_build_failed", 1),
    "a build that hangs": ({"build.py": ENDLESS}, "frontend", "build_timed_out", 124),
    "a build that floods": ({"build.py": FLOOD}, "frontend", "build_output_limit", 1),
    "a build that makes nothing": ({"build.py": ""}, "frontend", "build_output_missing", 1),
    "a link out of the output": ({"build.py": link("/etc/passwd")}, "frontend",
                                 "unsafe_build_output", 1),
    "a link to a directory": ({"build.py": link("/etc")}, "frontend", "unsafe_build_output", 1),
    "a fifo in the output": ({"build.py": BUILD + "\nimport os; os.mkfifo('dist/f')"}, "frontend",
                             "unsafe_build_output", 1),
    "a hard link in the output": (
        {"build.py": BUILD + "\nimport os; os.link('server.py', 'dist/f')"}, "frontend",
        "unsafe_build_output", 1),
    "a link in the path of the output": (
        {"preview.toml": PREVIEW_TOML.replace('"dist"', '"way/dist"'),
         "build.py": BUILD + "\nimport os; os.symlink('.', 'way')"}, "frontend",
        "build_output_missing", 1),
    "an output that says NUL": (
        {"build.py": "import sys; sys.stdout.write('a\\0b'); sys.exit(1)"}, "frontend",
        "frontend_build_failed", 1),
    "a file name that is no text": (
        {"build.py": BUILD + "\nimport os; os.mkfifo(b'dist/\\xff')"}, "frontend",
        "unsafe_build_output", 1),
    "a health path that is no path": (
        {"preview.toml": PREVIEW_TOML.replace('listen =', 'health = "/\u00e4"\nlisten =')},
        "readiness", "backend_not_ready", 124),
    "a health answer that trickles": ({"server.py": TRICKLE}, "readiness", "backend_not_ready",
                                      124),
    "a directory that is a link": (
        {"preview.toml": PREVIEW_TOML.replace("[backend]", '[backend]\ndir = "elsewhere"'),
         "elsewhere": LINK}, "source", "directory_not_found", 1),
    "a missing program": ({"preview.toml": PREVIEW_TOML.replace('"python3", "build.py"',
                           '"no-such-program"')}, "frontend", "command_not_found", 1),
    "a broken preview.toml": ({"preview.toml": "[backend"}, "source", "invalid_preview_toml", 1),
    "nothing recognisable": ({"preview.toml": None}, "source", "application_not_recognised", 1),
    "a migration that fails": ({"preview.toml": migration('["false"]')}, "migrate",
                               "migration_failed", 1),
    "another slot's database": ({"preview.toml": environment(NEIGHBOUR)}, "restart",
                                "slot_database_mismatch", 1),
    "the control database": (
        {"preview.toml": environment("postgresql://app_preview_1:x@/ouroboros_control")},
        "restart", "unsafe_database_target", 1),
    "a backend that dies": ({"server.py": "raise SystemExit('cannot start')"}, "readiness",
                            "backend_start_failed", 1),
    "a backend that never answers": ({"server.py": ENDLESS}, "readiness", "backend_not_ready",
                                     124),
    "an unhealthy backend": ({"server.py": SERVER.replace("200", "500")}, "readiness",
                             "backend_not_ready", 124),
    "a smoke check that does not hold": (
        {"preview.toml": PREVIEW_TOML + 'contains = "unicorns"\n'}, "smoke",
        "smoke_check_failed", 1),
    "a url in an argument": ({"preview.toml": start('["python3", "{database.url}"]')}, "restart",
                             "secret_in_arguments", 1),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_failed_publish_names_its_step_and_the_old_preview_keeps_serving(served_bench, case):
    files, step, code, status = CASES[case]
    commit = served_bench.served()
    assert commit is not None
    failed = served_bench.publish(files)
    assert failed.status == status
    assert failed.document["error"] == code, failed
    assert failed.document["failed_step"] == step
    assert failed.document["message"]
    assert served_bench.served() == commit
    log = Path(failed.document["log"]).read_text()
    assert f"FAILED {code}" in log


def test_a_failure_shows_the_lines_that_matter(bench):
    failed = bench.publish({"build.py": "raise SystemExit('the colour is missing')"})
    assert "the colour is missing" in failed.document["failure"]["log_tail"]


def test_a_build_leaves_no_daemon_behind(bench):
    done = bench.publish({"build.py": DAEMON})
    assert done.status == 0, done
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert "sleep 4242" not in listed.stdout


def test_a_first_publish_that_fails_leaves_the_slot_without_a_preview(bench):
    assert bench.publish({"build.py": "raise SystemExit(1)"}).status == 1
    assert bench.served() is None


def test_branch_code_sees_no_more_than_the_contract_says(bench):
    assert bench.publish().status == 0
    seen = set(bench.ask(bench.instance.backend_port(bench.number))["keys"])
    assert seen <= {
        "SLOT_ID", "SLOT_NUM", "SLOT_BACKEND_PORT", "SLOT_DB_NAME", "SLOT_WORKTREE_PATH",
        "DATABASE_URL", "RUN_ID", "COMMIT_SHA", "PREVIEW_URL", "PATH", "LANG", "TZ", "HOME",
        "PREVIEW_NONCE", "PREVIEW_INSTANCE", "PREVIEW_HEALTH_PATH", "LC_CTYPE",
    }  # fmt: skip
    assert {"SLOT_ID", "DATABASE_URL", "COMMIT_SHA"} <= seen


def test_a_build_sees_no_secret_of_the_worker(bench):
    leak = BUILD + "\nimport os\nprint(sorted(os.environ.items()))\n"
    done = bench.publish({"build.py": leak})
    assert done.status == 0
    log = Path(done.document["log"]).read_text()
    assert "must-not-reach-branch-code" not in log
    assert "DATABASE_URL" not in log


def test_a_database_password_that_a_backend_step_prints_is_masked(bench):
    shown = migration('["python3", "-c", "import os; print(os.environ[\'DATABASE_URL\'])"]')
    done = bench.publish({"preview.toml": shown})
    assert done.status == 0, done
    log = Path(done.document["log"]).read_text()
    assert "postgresql://app_preview_" in log
    url = bench.instance.ouroboros("db", "url", "--slot", bench.slot_id).document["database_url"]
    assert url.split(":")[2].split("@")[0] not in log


@pytest.mark.parametrize(
    ("ref", "code"),
    [
        ("no-such-branch", "ref_not_found"),
        ("--upload-pack=touch /tmp/owned", "invalid_ref"),
        ("../../x", "invalid_ref"),
        ("HEAD@{1}", "invalid_ref"),
        ("a b", "invalid_ref"),
    ],
)
def test_a_ref_that_is_not_there_or_not_allowed_is_refused(bench, ref, code):
    bench.repository.commit("work", {})
    refused = bench.instance.command(
        [*_program(), "publish", "--run-id", bench.run_id, f"--repo={bench.repository.path}",
         f"--ref={ref}"]
    )  # fmt: skip
    assert refused.status in (1, 2)
    assert refused.document["error"] == code


@pytest.mark.parametrize("repo", ["/no/such/repository", "ext::sh -c touch% /tmp/owned"])
def test_a_repository_that_is_not_there_or_runs_commands_is_refused(bench, repo):
    refused = bench.instance.command(
        [*_program(), "publish", "--run-id", bench.run_id, "--repo", repo, "--ref", "main"]
    )
    assert refused.status in (1, 2), refused
    assert refused.document["error"] in ("ref_not_found", "invalid_repository")
    assert not Path("/tmp/owned").exists()


def test_a_run_without_a_slot_cannot_publish(limited_instance, tmp_path):
    refused = limited_instance.publish("nobody", tmp_path, "main")
    assert refused.status == 1
    assert refused.document["error"] == "no_lease"


def test_nothing_of_a_commit_runs_while_it_is_laid_out(bench):
    """Hooks and filters of the repository are not those of the mirror."""
    mark = bench.repository.path / "ran"
    hook = bench.repository.path / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch '{mark}'\n")
    hook.chmod(0o755)
    bench.repository.git("config", "core.hooksPath", "/dev/null")
    done = bench.publish({".gitattributes": "* filter=evil\n"})
    assert done.status == 0, done
    assert not mark.exists()


@pytest.mark.parametrize("made", [True, False], ids=["mirror", "mirror half made"])
def test_what_a_killed_git_left_behind_fails_no_later_publish(bench, made):
    if made:
        assert bench.publish().status == 0
    mirror = Layout(bench.instance.state_dir).mirror(str(bench.repository.path))
    left = [
        mirror / name
        for name in (
            "config.lock",
            "HEAD.lock",
            "packed-refs.lock",
            "refs/preview/wanted.lock",
            "worktrees/src/locked",
            "objects/pack/tmp_pack_1",
        )
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    done = bench.publish({"changed": "after the kill"})
    assert done.status == 0, done
    assert [path for path in left if path.exists()] == []


def test_the_page_is_served_by_its_surface(bench):
    assert bench.publish().status == 0
    port = bench.instance.web_port(bench.number)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        assert "PAGE" in answer.read().decode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/x", timeout=5) as answer:
        assert json.loads(answer.read())["status"] == "ok"


def test_two_slots_publishing_from_one_repository_get_their_own_commits(limited_instance, tmp_path):
    with (
        make_bench(limited_instance, tmp_path / "a") as one,
        make_bench(limited_instance, tmp_path / "b") as two,
    ):
        shared = one.repository
        commits = {name: shared.commit(name, {"marker": name}) for name in ("left", "right")}
        for _ in range(3):
            with ThreadPoolExecutor(2) as threads:
                done = {
                    name: threads.submit(bench.instance.publish, bench.run_id, shared.path, name)
                    for name, bench in (("left", one), ("right", two))
                }
            for name, bench in (("left", one), ("right", two)):
                assert done[name].result().status == 0, done[name].result()
                assert bench.served() == commits[name]


def test_a_password_that_a_dying_backend_prints_is_masked(bench):
    loud = "import os\nraise SystemExit(os.environ['DATABASE_URL'])\n"
    failed = bench.publish({"server.py": loud})
    assert failed.document["error"] == "backend_start_failed"
    url = bench.instance.ouroboros("db", "url", "--slot", bench.slot_id).document["database_url"]
    assert url.split(":")[2].split("@")[0] not in Path(failed.document["log"]).read_text()


def _program() -> list[str]:
    from tests.instance import PROGRAM

    return [str(PROGRAM)]
