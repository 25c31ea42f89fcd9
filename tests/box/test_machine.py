"""The box itself: a real systemd that leaves nothing behind."""

from pathlib import Path

import pytest
from tests.box.machine import booted_machine, reason_against


def test_it_runs_units_and_reaches_nothing_of_this_machine(machine):
    machine.run("systemd-run", "--wait", "--quiet", "touch", "/etc/made-inside")
    assert machine.inside("/etc/made-inside").exists()
    assert not Path("/etc/made-inside").exists()
    addresses = machine.run("ip", "-brief", "address").stdout
    assert addresses.split()[0] == "lo" and len(addresses.splitlines()) == 1


@pytest.mark.skipif(reason_against() is not None, reason=str(reason_against()))
def test_it_is_gone_when_it_is_ended_even_with_a_process_that_refuses_to_die():
    with booted_machine() as machine:
        machine.run("systemd-run", "--quiet", "--unit=stubborn", "sh", "-c",
                    "trap '' TERM; while :; do sleep 1; done")  # fmt: skip
        name, directory, pid = machine.name, machine.directory, machine.pid
    assert not Path(f"/proc/{pid}").exists()
    assert not directory.exists()
    assert not [*Path("/sys/fs/cgroup").glob(f"*/{name}"), *Path("/sys/fs/cgroup").glob(name)]
    assert name not in Path("/proc/mounts").read_text()
