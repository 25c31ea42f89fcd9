"""The checker of lease histories finds every kind of history that must not happen."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHECKER = Path(__file__).with_name("history_checker.py")
GOOD = {
    "ops-1": [
        {"op": "allocate", "run": "a", "begin_ns": 0, "end_ns": 10, "slot": "s", "fence": 1},
        {"op": "write", "run": "a", "begin_ns": 20, "end_ns": 30, "slot": "s", "fence": 1},
        {"op": "release", "run": "a", "begin_ns": 40, "end_ns": 50, "slot": "s", "fence": 1},
    ],
    "ops-2": [
        {"op": "allocate", "run": "b", "begin_ns": 45, "end_ns": 60, "slot": "s", "fence": 2},
        {"op": "heartbeat", "run": "b", "begin_ns": 70, "end_ns": 80, "slot": "s", "fence": 2},
    ],
    "grants": [
        {"id": 1, "slot": "s", "run": "a", "fence": 1},
        {"id": 2, "slot": "s", "run": "b", "fence": 2},
    ],
    "writes": [{"id": 1, "slot": "s", "run": "a", "fence": 1}],
    "seen": [{"at_ns": 1, "slot": "s", "fence": 1}, {"at_ns": 2, "slot": "s", "fence": 2}],
}


def judge(directory: Path, history: dict[str, list[dict]]) -> tuple[int, str]:
    """Write a history and let the program judge it, on its own as anybody would."""
    for name, rows in history.items():
        lines = [json.dumps({"ok": True, **row}) + "\n" for row in rows]
        (directory / f"{name}.jsonl").write_text("".join(lines))
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(CHECKER), str(directory)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_a_good_history_passes_and_is_counted(tmp_path):
    status, said = judge(tmp_path, GOOD)
    assert status == 0, said
    assert json.loads(said)["ops"] == 5
    assert json.loads(said)["allocate agreed"] == 2


def also(name: str, **row: object) -> dict[str, list[dict]]:
    """The good history with one more line."""
    return {**GOOD, name: [*GOOD[name], row]}


HELD_TWICE = {
    **GOOD,
    "ops-2": [
        {"op": "allocate", "run": "b", "begin_ns": 12, "end_ns": 15, "slot": "s", "fence": 2},
        {"op": "heartbeat", "run": "b", "begin_ns": 35, "end_ns": 38, "slot": "s", "fence": 2},
    ],
}


@pytest.mark.parametrize(
    ("history", "complaint"),
    [
        (HELD_TWICE, "held it at once"),
        (
            also("ops-1", op="write", run="a", begin_ns=65, end_ns=66, slot="s", fence=1),
            "under fence 1 after fence 2 was held",
        ),
        (
            also("ops-1", op="heartbeat", run="a", begin_ns=51, end_ns=52, slot="s", fence=1),
            "after the lease's end",
        ),
        (also("grants", id=3, slot="s", run="c", fence=2), "fence 2 was granted after 2"),
        (also("grants", id=3, slot="s", run="c", fence=1), "fence 1 was granted after 2"),
        (
            also("ops-2", op="heartbeat", run="c", begin_ns=81, end_ns=82, slot="s", fence=2),
            "which was granted to b",
        ),
        (
            also("ops-2", op="heartbeat", run="c", begin_ns=81, end_ns=82, slot="s", fence=3),
            "which was granted to None",
        ),
        (
            {**GOOD, "writes": [{"id": 1, "slot": "s", "run": "b", "fence": 2}, *GOOD["writes"]]},
            "a write landed under fence 1 after 2",
        ),
        (also("writes", id=2, slot="s", run="a", fence=2), "wrote under fence 2, not its own"),
        (also("seen", at_ns=3, slot="s", fence=1), "a slot served under fence 1 after 2"),
    ],
)
def test_a_history_that_cannot_have_happened_is_refused(tmp_path, history, complaint):
    status, said = judge(tmp_path, history)
    assert status == 1, said
    assert complaint in said


def test_a_run_on_two_slots_at_once_is_refused(tmp_path):
    other = [
        {"op": "allocate", "run": "a", "begin_ns": 12, "end_ns": 14, "slot": "t", "fence": 1},
        {"op": "write", "run": "a", "begin_ns": 30, "end_ns": 35, "slot": "t", "fence": 1},
    ]
    grants = [*GOOD["grants"], {"id": 3, "slot": "t", "run": "a", "fence": 1}]
    status, said = judge(tmp_path, {**GOOD, "ops-3": other, "grants": grants})
    assert status == 1, said
    assert "at once" in said


def test_what_nobody_knows_and_what_was_refused_is_no_violation(tmp_path):
    late = {"op": "write", "run": "a", "begin_ns": 65, "end_ns": 66, "slot": "s", "fence": 1}
    rows = [{**late, "ok": False, "why": "stale_fence"}, {**late, "ok": None}]
    status, said = judge(tmp_path, {**GOOD, "ops-1": [*GOOD["ops-1"], *rows]})
    assert status == 0, said
    assert json.loads(said)["write refused"] == 1
    assert json.loads(said)["unknown"] == 1


def test_the_last_line_of_a_killed_client_may_be_cut_off(tmp_path):
    judge(tmp_path, GOOD)
    with (tmp_path / "ops-1.jsonl").open("a") as file:
        file.write('{"op": "wri')
    done = subprocess.run([sys.executable, str(CHECKER), str(tmp_path)], check=False)
    assert done.returncode == 0
