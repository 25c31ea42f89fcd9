"""What the doctor says of a host, without one: the rules over values."""

from dataclasses import replace

import pytest

from ouroboros.adapters.host.versions import read_version
from ouroboros.services.doctor import host
from ouroboros.settings import read_settings

SETTINGS = read_settings({})


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v2.6.2 h1:wKoFIxpmOJLGl3QXoo6PNbYvGW4xLEgo32GPBEjWL8o=", (2, 6, 2)),
        ("git version 2.39.5", (2, 39, 5)),
        ("15.18 (Debian 15.18-0+deb12u1)", (15, 18, 0)),
        ("18beta1", None),
    ],
)
def test_a_version_is_read_from_what_a_program_prints(text, version):
    assert read_version(text) == version


@pytest.mark.parametrize(("found", "told"), [((2, 6, 2), True), ((2, 11, 2), False)])
def test_a_program_below_its_floor_is_told_with_the_hole(found, told):
    findings = list(host._programs(lambda name, _: found if name == "caddy" else (99, 0, 0)))
    assert [each.code for each in findings] == ["version_with_known_hole"] * told
    assert all("CVE-2026-30851" in each.message for each in findings)


@pytest.mark.parametrize(
    ("version", "told"), [((15, 13, 0), True), ((15, 14, 0), False), ((18, 0, 0), False)]
)
def test_postgres_is_judged_within_its_major_version(version, told):
    assert bool(list(host._postgres(version))) is told


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({}, None),
        ({"ready_time_limit_s": 61}, "OUROBOROS_READY_TIME_LIMIT_S"),
        ({"lease_ttl_s": 30, "claim_ttl_s": 10}, "OUROBOROS_LEASE_TTL_S"),
        ({"claim_ttl_s": 4000}, "OUROBOROS_CLAIM_TTL_S"),
    ],
)
def test_limits_that_contradict_each_other_are_named(change, named):
    findings = list(host.contradictions(replace(SETTINGS, **change)))
    assert [named in each.message for each in findings] == ([True] if named else [])


def test_local_mode_has_no_findings_about_the_host():
    assert list(host.examine_host(None, SETTINGS)()) == []
