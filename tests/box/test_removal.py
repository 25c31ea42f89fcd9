"""Taking a host away: with and without its data, and installing it again."""

import re

from tests.box.test_host import units


def test_a_removal_leaves_the_data_and_an_installation_finds_it_again(previews):
    host, machine = previews, previews.machine
    removed = host.provision("--uninstall")
    assert "/srv/oroboros/secrets" in removed["kept"]
    assert removed["leases_ended"] >= 1
    assert units(host) == {}
    left = machine.run("sh", "-c", "ps -eo user:32,args | grep -c '[o]uroboros' || true").stdout
    assert left.strip() == "0"
    for units_of in ("/etc/systemd/system", "/run/systemd/system", "/run/systemd/system.control"):
        assert not list(machine.inside(units_of).glob("ouroboros*"))
    host.provision()
    host.wait_healthy(90)


def test_a_removal_with_data_leaves_nothing(host, postgres):
    machine = host.machine
    host.provision("--uninstall", "--with-data")
    assert units(host) == {}
    assert not machine.inside("/srv/oroboros").exists()
    assert not machine.inside("/etc/sysusers.d/ouroboros.conf").exists()
    passwd = machine.inside("/etc/passwd").read_text() + machine.inside("/etc/group").read_text()
    assert "ouroboros" not in passwd
    hba = machine.run("sh", "-c", "cat /etc/postgresql/*/main/pg_hba.conf").stdout
    assert "ouroboros" not in hba
    names = machine.run(
        "runuser", "-u", "postgres", "--", "psql", "-XAt", "-c",
        "SELECT datname FROM pg_database UNION ALL SELECT rolname FROM pg_roles",
    ).stdout  # fmt: skip
    assert not re.search("ouroboros|app_", names)
    host.provision()
    host.wait_healthy(90)
