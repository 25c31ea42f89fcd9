"""A worker that is killed at any instant of a publish is followed by one that finishes it."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import psycopg
import pytest
from tests.instance import HOME
from tests.publish.applications import BUILD, make_repository
from tests.publish.conftest import make_bench

from ouroboros.bootstrap import cluster_access
from ouroboros.domain.publish import StepName
from ouroboros.settings import read_settings

POINTS = ("publish.frontend.after", "publish.switch.after")
"""Two under the real supervisor; `test_every_crash` has all of them."""


def test_every_step_has_its_failpoints_and_no_other_has(bench, failpoint_file):
    """A new step gets a name in StepName, and with it three crash tests below."""
    done = bench.publish()
    steps = [step["step"] for step in done.document["steps"]]
    assert steps == list(StepName)


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_there_is_followed_by_one_that_finishes(
    served_bench, failpoint_file, point
):
    before = served_bench.served()
    assert before is not None
    failpoint_file.write_text(f"{point}=kill")
    done = served_bench.publish({"marker": point})
    assert not failpoint_file.exists(), "the worker was never at this point"
    assert done.status == 0, done
    assert served_bench.served() == done.document["commit_sha"] != before
    assert leftovers(served_bench) == []


def test_a_publish_survives_a_crash_of_everything(bench, failpoint_file):
    """kill -9 of the supervisor in the middle of a build, then `ouroboros up` again."""
    instance = bench.instance
    slow = "import time\ntime.sleep(1.5)\n"
    bench.repository.commit("work", {"build.py": slow + BUILD})
    queued = instance.ouroboros(
        "publish", "--run-id", bench.run_id, "--repo", str(bench.repository.path), "--ref", "work",
        "--detach",
    )  # fmt: skip
    assert queued.status == 0, queued
    wait_for_step(bench, queued.document["publish_id"], "frontend")
    supervisor = instance.ouroboros("status").document["pid"]
    os.kill(supervisor, signal.SIGKILL)
    again = instance.up()
    assert again.status == 0, again
    found = wait_for_end(bench, queued.document["publish_id"])
    assert found["state"] == "ready", found
    assert bench.served() == found["commit_sha"]


def test_a_cancelled_publish_ends_with_its_processes_and_the_old_preview_stays(bench):
    first = bench.publish()
    endless = "import subprocess\nsubprocess.run(['sleep', '4343'])\n"
    bench.repository.commit("work", {"build.py": endless})
    queued = bench.instance.ouroboros(
        "publish", "--run-id", bench.run_id, "--repo", str(bench.repository.path), "--ref", "work",
        "--detach",
    )  # fmt: skip
    publish_id = queued.document["publish_id"]
    wait_until(lambda: "sleep 4343" in processes())
    cancelled = bench.instance.ouroboros("cancel", publish_id)
    assert cancelled.status == 0, cancelled
    assert wait_for_end(bench, publish_id)["state"] == "cancelled"
    assert "sleep 4343" not in processes()
    assert bench.served() == first.document["commit_sha"]


def test_a_publish_cancelled_before_its_first_step_ends(bench, failpoint_file):
    """It has no step log yet; its end must be recorded all the same, or the slot is stuck."""
    first = bench.publish()
    failpoint_file.write_text("publish.source.before=kill")
    bench.repository.commit("work", {"marker": "cancelled"})
    queued = bench.instance.ouroboros(
        "publish", "--run-id", bench.run_id, "--repo", str(bench.repository.path), "--ref", "work",
        "--detach",
    )  # fmt: skip
    bench.instance.ouroboros("cancel", queued.document["publish_id"])
    assert wait_for_end(bench, queued.document["publish_id"])["state"] == "cancelled"
    failpoint_file.unlink(missing_ok=True)
    assert bench.served() == first.document["commit_sha"]
    assert bench.publish({"marker": "again"}).status == 0


def test_a_newer_publish_supersedes_one_that_is_still_building(bench):
    endless = "import subprocess\nsubprocess.run(['sleep', '4444'])\n"
    bench.repository.commit("old", {"build.py": endless})
    older = bench.instance.ouroboros(
        "publish", "--run-id", bench.run_id, "--repo", str(bench.repository.path), "--ref", "old",
        "--detach",
    )  # fmt: skip
    wait_until(lambda: "sleep 4444" in processes())
    newer = bench.publish({"marker": "newer"})
    assert newer.status == 0, newer
    assert wait_for_end(bench, older.document["publish_id"])["state"] == "superseded"
    assert bench.served() == newer.document["commit_sha"]
    assert "sleep 4444" not in processes()


def test_a_release_while_building_ends_the_build_before_the_slot_is_free(
    limited_instance, tmp_path
):

    repository = make_repository(tmp_path / "repo")
    repository.commit(
        "work", {"build.py": "import subprocess\nsubprocess.run(['sleep', '4545'])\n"}
    )
    lease = limited_instance.allocate("leaver")
    queued = limited_instance.ouroboros(
        "publish", "--run-id", "leaver", "--repo", str(repository.path), "--ref", "work", "--detach"
    )
    assert queued.status == 0, queued
    wait_until(lambda: "sleep 4545" in processes())
    released = limited_instance.release("leaver", lease.document["slot_id"])
    assert released.status == 0, released
    assert "sleep 4545" not in processes()


def test_a_frozen_worker_that_wakes_after_its_lease_changes_nothing(bench, failpoint_file):
    """SIGSTOP before the switch; the lease ends meanwhile and another run gets the slot."""
    instance = bench.instance
    first = bench.publish()
    bench.repository.commit("work", {"marker": "frozen"})
    failpoint_file.write_text("publish.switch.before=stop")
    frozen = instance.ouroboros(
        "publish", "--run-id", bench.run_id, "--repo", str(bench.repository.path), "--ref", "work",
        "--detach",
    )  # fmt: skip
    wait_until(lambda: not failpoint_file.exists())
    worker = next(
        s["pid"] for s in instance.ouroboros("status").document["services"] if s["name"] == "worker"
    )
    stopped = [pid for pid in descendants(worker) if state_of(pid) == "T"]
    assert stopped, "the worker is not frozen"
    try:
        take_the_lease_away(instance, bench.slot_id)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    try:
        found = wait_for_end(bench, frozen.document["publish_id"])
        assert found["state"] == "cancelled", found
        surface = bench.ask(instance.web_port(bench.number))
        assert surface.get("commit_sha") in (None, first.document["commit_sha"])
    finally:
        give_the_lease_back(instance, bench.slot_id, bench.run_id)


def test_a_publish_whose_claim_was_never_answered_is_done_all_the_same(bench):
    """PostgreSQL went away after it had committed the claim: recorded as running, with nobody."""
    instance = bench.instance
    bench.repository.commit("work", {"marker": "claimed"})
    status = instance.ouroboros("status").document["services"]
    worker = descendants(next(s["pid"] for s in status if s["name"] == "worker"))
    for pid in worker:
        os.kill(pid, signal.SIGSTOP)
    try:
        queued = instance.ouroboros(
            "publish", "--run-id", bench.run_id, "--repo", str(bench.repository.path),
            "--ref", "work", "--detach",
        )  # fmt: skip
        publish_id = queued.document["publish_id"]
        control(
            instance,
            "UPDATE publishes SET state = 'running', started_at = clock_timestamp() "
            "WHERE publish_id = %(publish_id)s AND state = 'queued'",
            publish_id=publish_id,
        )
    finally:
        for pid in worker:
            os.kill(pid, signal.SIGCONT)
    assert wait_for_end(bench, publish_id)["state"] == "ready"


def test_two_workers_on_one_host_are_one_too_many(limited_instance):
    second = subprocess.run(
        [str(HOME / ".venv/bin/python"), "-m", "ouroboros.entrypoints.worker"],
        env={k: v for k, v in limited_instance.environ.items() if k != "PREVIEW_FAILPOINTS_FILE"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert "worker_already_running" in second.stdout + second.stderr


def test_concurrent_publishes_of_two_slots_do_not_disturb_each_other(limited_instance, tmp_path):
    results = {}

    def work(name: str) -> None:
        with make_bench(limited_instance, tmp_path / name) as made:
            for number in range(2):
                done = made.publish({"marker": f"{name}{number}"})
                results[f"{name}{number}"] = (done.status, made.served(), done.document)

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for status, served, document in results.values():
        assert status == 0, document
        assert served == document["commit_sha"]


def wait_until(holds, limit_s: float = 30.0) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.05)


def wait_for_step(bench, publish_id: str, step: str) -> None:
    def reached() -> bool:
        listed = bench.instance.ouroboros("publishes", "--run-id", bench.run_id).document
        assert listed["publishes"][0]["publish_id"] == publish_id
        return (bench.instance.state_dir / "artifacts" / publish_id / f"{step}.log").exists()

    wait_until(reached)


def wait_for_end(bench, publish_id: str) -> dict:
    found: dict = {}

    def ended() -> bool:
        found.update(bench.found(publish_id))
        return found["state"] not in ("queued", "running")

    wait_until(ended)
    return found


def processes() -> str:
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


def descendants(pid: int) -> list[int]:
    children = [pid]
    for child in Path(f"/proc/{pid}/task").glob("*/children"):
        for number in child.read_text().split():
            children += descendants(int(number))
    return children


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def leftovers(bench) -> list[str]:
    """Worktrees of releases that are not kept, and build processes."""
    return [line for line in processes().splitlines() if "build.py" in line]


def control(instance, statement: str, **values) -> None:
    """Change the control plane behind everybody's back."""
    dsn = cluster_access(read_settings(instance.environ)).control_dsn()
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute(statement, values)


def take_the_lease_away(instance, slot_id: str) -> None:
    control(instance, "INSERT INTO runs (run_id, branch, state) VALUES ('thief', 'x', 'active')"
            " ON CONFLICT DO NOTHING")  # fmt: skip
    control(
        instance,
        "UPDATE slots SET fence = fence + 1, run_id = 'thief' WHERE slot_id = %(slot_id)s",
        slot_id=slot_id,
    )


def give_the_lease_back(instance, slot_id: str, run_id: str) -> None:
    control(
        instance,
        "UPDATE slots SET fence = fence + 1, run_id = %(run_id)s WHERE slot_id = %(slot_id)s",
        slot_id=slot_id,
        run_id=run_id,
    )
