"""Processors are left to visitors, whatever the machine has."""

import json
import os
import subprocess
import sys

import pytest

from ouroboros.adapters.processors import SlotSessions, divide_processors


@pytest.mark.parametrize(
    ("usable", "left"), [(1, 0), (2, 1), (3, 1), (4, 1), (7, 1), (8, 2), (64, 16)]
)
def test_a_quarter_is_left_to_visitors_but_always_something_to_work(usable, left):
    for name in map(str, range(20)):
        processors = divide_processors(range(usable), name)
        assert processors.serving == tuple(range(usable))
        assert len(processors.working) == usable - left
        assert set(processors.working) <= set(range(usable))


def test_instances_beside_each_other_do_not_all_leave_the_same():
    working = {divide_processors({3, 5, 6, 7}, name).working for name in map(str, range(50))}
    assert working == {(3, 5, 6), (3, 5, 7), (3, 6, 7), (5, 6, 7)}


def test_one_instance_always_leaves_the_same():
    assert divide_processors({9, 4}, "one") == divide_processors({4, 9}, "one")


def test_what_is_confined_confines_all_it_starts():
    """The division is made once; a second one, of what is left, would leave nothing to work."""
    shown = "import os; print(sorted(os.sched_getaffinity(0)))"
    code = f"""
import os, subprocess, sys
from ouroboros.adapters.processors import confine_work
made = confine_work("name")
assert tuple(sorted(os.sched_getaffinity(0))) == made.working
subprocess.run([sys.executable, "-c", {shown!r}], check=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = divide_processors(os.sched_getaffinity(0), "name")
    assert done.stdout == f"{list(expected.working)}\n"


POSTMASTER = """
import json, os, subprocess, sys
confined, *titles = json.loads(sys.argv[1])
os.sched_setaffinity(0, [confined])
running = [subprocess.Popen((title, "600"), executable="/bin/sleep") for title in titles]
for each in running:
    while not open(f"/proc/{each.pid}/cmdline").read():
        pass  # exec sets it last
print(json.dumps([each.pid for each in running]), flush=True)
sys.stdin.read()
for each in running:
    each.kill()
    each.wait()
"""


def test_sessions_of_slots_are_let_out_once_they_stay():
    usable = os.sched_getaffinity(0)
    if len(usable) == 1:
        pytest.skip("this machine has one processor, which nothing can be kept off")
    slots = {"postgres: app_preview_1 app_preview_1 [local] idle", "postgres: app_preview_2 x"}
    others = {
        "postgres: app_preview_10 x",
        "postgres: checkpointer",
        "app_preview_1 x",
        "postgres:",
    }
    titles = sorted(slots | others)
    argv = (sys.executable, "-c", POSTMASTER, json.dumps([min(usable), *titles]))
    sessions = SlotSessions(usable, ["app_preview_1", "app_preview_2"])
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as postmaster:
        assert postmaster.stdin is not None
        assert postmaster.stdout is not None
        pids = dict(zip(titles, json.loads(postmaster.stdout.readline()), strict=True))

        def let_out() -> set[str]:
            sessions.look(postmaster.pid)
            return {title for title, pid in pids.items() if os.sched_getaffinity(pid) == usable}

        assert let_out() == set()
        assert let_out() == slots
        os.sched_setaffinity(pids["postgres: app_preview_2 x"], {min(usable)})
        assert let_out() == slots - {"postgres: app_preview_2 x"}, "each is let out once"
        postmaster.stdin.close()
    sessions.look(postmaster.pid)  # nobody any more
