"""Sixty-four clients, kills, freezes and restarts: no double lease, no write under an old fence.

The history is made by `lease_soak.py` and judged by `history_checker.py`, each a program of its
own; here stands only how much of it is wanted.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def soak(directory: Path, *options: str) -> dict[str, int]:
    """Make a history and judge it; the numbers of both, or what was wrong."""
    made = run(str(HERE / "lease_soak.py"), str(directory), *options)
    judged = run("-I", "-S", str(HERE / "history_checker.py"), str(directory))
    numbers = json.loads(made.splitlines()[-1]) | json.loads(judged.splitlines()[-1])
    print(json.dumps(numbers, sort_keys=True))
    return numbers


def run(*argv: str) -> str:
    done = subprocess.run([sys.executable, *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def require_that_much_happened(numbers: dict[str, int]) -> None:
    """A history in which nobody was ever refused would prove nothing."""
    assert numbers["violations"] == 0
    for outcome in (
        "allocate agreed", "heartbeat agreed", "release agreed", "expire agreed", "reap agreed",
        "write agreed", "switch agreed", "begin_step agreed", "finish agreed", "grants", "writes",
        "seen", "write refused", "switch refused", "heartbeat refused", "release refused",
        "begin_step refused", "finish refused", "unknown",
    ):  # fmt: skip
        assert numbers.get(outcome, 0) > 0, f"never happened: {outcome}"


@pytest.mark.timeout(400)
def test_no_slot_is_ever_held_twice_nor_written_under_an_old_fence(tmp_path):
    numbers = soak(
        tmp_path, "--operations", "12000", "--kills", "40", "--restarts", "2",
        "--time-limit-s", "150",  # half a minute where nothing else runs
    )  # fmt: skip
    require_that_much_happened(numbers)
    assert numbers["kills"] >= 20
    assert numbers["restarts"] == 2


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_the_same_holds_for_a_million_operations(tmp_path):
    numbers = soak(
        tmp_path, "--operations", "1000000", "--kills", "250", "--restarts", "20",
        "--time-limit-s", "14000",
    )  # fmt: skip
    require_that_much_happened(numbers)
    assert numbers["ops"] >= 990_000, "what killed clients had begun has no line"
    assert numbers["kills"] >= 200
    assert numbers["restarts"] >= 20
