"""Allocation from many processes at once: as many leases as slots, the rest in order."""

import os
import signal
import subprocess

import pytest
from tests.instance import PROGRAM, Instance, running_instance


@pytest.fixture(scope="module")
def instance():
    with running_instance() as running:
        yield running


def start_allocate(instance: Instance, run_id: str, *options: str) -> subprocess.Popen:
    return subprocess.Popen(
        [str(PROGRAM), "allocate", "--run-id", run_id, "--strategy", "seed",
         "--seed-version", "v1", "--json", *options],
        env=instance.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def test_twenty_runs_at_once_get_three_leases_and_seventeen_places(instance):
    started = [start_allocate(instance, f"run-{number}") for number in range(20)]
    statuses = []
    for process in started:
        process.communicate(timeout=120)
        statuses.append(process.returncode)
    assert sorted(statuses) == [0] * 3 + [75] * 17
    slots = instance.ouroboros("slots").document
    holders = [slot["run_id"] for slot in slots["slots"] if slot["lease_state"] == "leased"]
    waiting = [run["run_id"] for run in slots["queue"]]
    assert len(holders) == 3
    assert len(waiting) == 17
    assert set(holders) | set(waiting) == {f"run-{number}" for number in range(20)}
    assert [run["position"] for run in slots["queue"]] == list(range(1, 18))


def test_a_waiting_run_is_told_its_position_and_who_holds_what_until_when(instance):
    first = instance.ouroboros("slots").document["queue"][0]["run_id"]
    told = instance.allocate(first)
    assert told.status == 75
    assert told.document["queue_reason"] == "WAITING_FOR_SLOT"
    assert told.document["position"] == 1
    assert {"slot_id", "run_id", "expires_at"} <= set(told.document["holders"][0])
    assert len(told.document["holders"]) == 3


def test_twenty_times_the_same_run_at_once_is_one_lease_and_one_reset(instance):
    slots = instance.ouroboros("slots").document["slots"]
    holder = slots[0]["run_id"]
    for run in instance.ouroboros("slots").document["queue"]:
        instance.ouroboros("leave-queue", "--run-id", run["run_id"])
    instance.release(holder, "preview-1")
    started = [start_allocate(instance, "twenty", "--wait") for _ in range(20)]
    answers = [process.communicate(timeout=120)[0] for process in started]
    assert {process.returncode for process in started} == {0}, answers
    rows = instance.ouroboros("resets", "--slot", "preview-1", "--limit", "100").document["resets"]
    assert len([row for row in rows if row["run_id"] == "twenty"]) == 1


def test_a_waiting_process_gets_the_slot_as_soon_as_it_is_released(instance):
    waiting = start_allocate(instance, "patient", "--wait")
    holder = instance.ouroboros("slots").document["slots"][1]["run_id"]
    while not instance.ouroboros("slots").document["queue"]:
        pass
    assert instance.release(holder, "preview-2").status == 0
    answer, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, answer
    assert '"slot_id": "preview-2"' in answer


def test_the_queue_says_who_waits_until_about_when_and_who_holds_what(instance):
    waiting = start_allocate(instance, "curious", "--wait")
    while not (told := instance.ouroboros("queue").document)["queue"]:
        pass
    assert told["queue"][0]["run_id"] == "curious"
    assert told["queue"][0]["position"] == 1
    assert told["queue"][0]["estimated_at"]
    assert len(told["holders"]) == 3
    assert all(holder["expires_at"] for holder in told["holders"])
    assert instance.ouroboros("leave-queue", "--run-id", "curious").status == 0
    answer, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 1, answer
    assert '"left_queue"' in answer
    assert instance.ouroboros("queue").document["queue"] == []


@pytest.mark.parametrize("name", ["api", "postgres"])
def test_a_waiting_process_keeps_its_place_over_a_restart_of_what_it_asks(instance, name):
    waiting = start_allocate(instance, f"enduring-{name}", "--wait")
    while not instance.ouroboros("queue").document.get("queue"):
        pass
    services = instance.ouroboros("status").document["services"]
    os.kill(next(s["pid"] for s in services if s["name"] == name), signal.SIGKILL)
    while (listed := instance.ouroboros("queue")).status != 0:
        pass
    assert [run["run_id"] for run in listed.document["queue"]] == [f"enduring-{name}"]
    holder = listed.document["holders"][1]
    assert instance.release(holder["run_id"], holder["slot_id"]).status == 0
    answer, told = waiting.communicate(timeout=120)
    assert waiting.returncode == 0, answer + told


def test_when_the_reset_fails_nothing_is_leased_and_the_row_says_why(instance, tmp_path):
    held = instance.ouroboros("slots").document["slots"][2]["run_id"]
    instance.release(held, "preview-3")
    (tmp_path / "broken.sql").write_text("CREATE TABLE t (i int); SELECT no_such_function();")
    seeds = instance.state_dir.parent / "seeds"
    with running_instance(OUROBOROS_SEEDS_DIR=str(tmp_path)) as other:
        failed = other.allocate("unlucky", "broken")
        assert failed.status == 1, failed
        assert failed.document["error"] == "seed_failed", failed
        slots = other.ouroboros("slots").document
        assert [slot["lease_state"] for slot in slots["slots"]].count("leased") == 0
        row = other.ouroboros("resets").document["resets"]
        mine = next(r for r in row if r["run_id"] == "unlucky")
        assert mine["reset_status"] == "failed"
        assert "no_such_function" in str(mine["details"])
    assert not seeds.exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--run-id", "x", "--strategy", "seed", "--seed-version", "v999"], "seed_not_found"),
        (["--run-id", "x", "--strategy", "seed"], "seed_version_required"),
        (["--run-id", "x", "--strategy", "snapshot", "--snapshot-version", "nope"],
         "snapshot_not_found"),
        (["--run-id", "x", "--strategy", "seed", "--seed-version", "../v1"], "invalid_version"),
        (["--run-id", "../x", "--strategy", "seed", "--seed-version", "v1"], "invalid_run_id"),
        (["--run-id", "x", "--strategy", "hope", "--seed-version", "v1"], "invalid_request"),
        (["--strategy", "seed"], "usage"),
    ],
)  # fmt: skip
def test_bad_input_is_exit_2_with_a_code_and_changes_nothing(instance, arguments, code):
    before = instance.ouroboros("slots").document
    refused = instance.ouroboros("allocate", *arguments)
    assert refused.status == 2, refused
    assert refused.document["error"] == code
    assert refused.document["ok"] is False
    assert instance.ouroboros("slots").document["queue"] == before["queue"]


@pytest.mark.parametrize("slot", ["preview-4", "PREVIEW-1", "../preview-1", "preview-01", ""])
@pytest.mark.parametrize(
    "command",
    [["backend", "status"], ["db", "reset"], ["db", "migrate"], ["heartbeat", "--run-id", "x"]],
)
def test_every_command_refuses_what_is_no_slot(instance, command, slot):
    refused = instance.ouroboros(*command, "--slot", slot)
    assert refused.status == 2, refused
    assert refused.document["error"] in ("invalid_slot", "route_not_found")


def test_a_dry_run_says_what_would_happen_and_changes_nothing(instance):
    before = instance.ouroboros("slots").document["slots"]
    planned = instance.ouroboros(
        "allocate", "--run-id", "dry", "--strategy", "seed", "--seed-version", "v1", "--dry-run"
    )
    assert planned.status == 0
    assert planned.document["steps"]
    missing = instance.ouroboros(
        "allocate", "--run-id", "dry", "--strategy", "seed", "--seed-version", "v9", "--dry-run"
    )
    assert missing.document["error"] == "seed_not_found"
    after = instance.ouroboros("slots").document["slots"]
    assert [s["fence"] for s in before] == [s["fence"] for s in after]


def test_a_postgresql_that_is_down_is_told_and_comes_back(instance):
    def postgres() -> int:
        services = instance.ouroboros("status").document["services"]
        return next(service["pid"] for service in services if service["name"] == "postgres")

    os.kill(postgres(), signal.SIGKILL)
    codes = set()
    while (ran := instance.ouroboros("slots")).status != 0:
        assert ran.status == 3, ran
        codes.add(ran.document["error"])
    assert codes <= {"control_plane_unreachable", "control_plane_busy"}
    assert postgres() > 0
    assert len(ran.document["slots"]) == 3


def test_a_control_plane_that_is_not_there_is_told_with_what_to_type(instance):
    elsewhere = str(instance.state_dir.parent / "elsewhere")
    unreachable = instance.ouroboros("slots", OUROBOROS_STATE_DIR=elsewhere)
    assert unreachable.status == 3
    assert unreachable.document["error"] == "api_unreachable"
    assert unreachable.document["hint"] == "ouroboros up"
