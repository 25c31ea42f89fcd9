"""Every unit is accepted by systemd without a remark, and is as confined as we say."""

import pytest

# systemd-analyze security: ten times the highest exposure that is accepted.
EXPOSURE = {
    "ouroboros-backend@preview1.service": 5,
    "ouroboros-candidate@preview1.service": 5,
    "ouroboros-web@preview1.service": 15,
    "ouroboros-api.service": 15,
    "ouroboros-worker.service": 15,
    "ouroboros-steward.service": 15,
    "ouroboros-caddy.service": 15,
    "ouroboros-prepare.service": 15,
    "ouroboros-reap.service": 15,
    "ouroboros-collect.service": 15,
    "ouroboros-audit.service": 15,
}


@pytest.mark.parametrize(("unit", "most"), EXPOSURE.items())
def test_a_service_is_exposed_no_more_than_we_say(host, unit, most):
    host.machine.run("systemd-analyze", "security", "--no-pager", f"--threshold={most}", unit)


def test_every_service_has_its_limit_here(host):
    installed = host.machine.inside("/etc/systemd/system").glob("ouroboros*.service")
    found = {path.name.replace("@.", "@preview1.") for path in installed}
    assert found == set(EXPOSURE)


def test_systemd_finds_nothing_to_remark(host):
    instances = [
        path.name.replace("@.", "@preview1.")
        for path in host.machine.inside("/etc/systemd/system").glob("ouroboros*")
        if path.is_file()
    ]
    assert len(instances) > 15
    verified = host.machine.run("systemd-analyze", "verify", "--recursive-errors=yes", *instances)
    assert verified.stderr == ""


def test_a_unit_with_an_unknown_key_would_be_found(host):
    path = "/etc/systemd/system/ouroboros-api.service"
    text = host.machine.inside(path).read_text()
    host.machine.write(path, text.replace("[Service]", "[Service]\nNoSuchKey=yes"))
    try:
        verified = host.machine.run(
            "systemd-analyze", "verify", "--recursive-errors=yes", "ouroboros-api.service",
            check=False,
        )  # fmt: skip
        assert "NoSuchKey" in verified.stderr and verified.returncode != 0
    finally:
        host.machine.write(path, text)
        host.machine.run("systemctl", "daemon-reload")
