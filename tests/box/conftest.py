"""One machine with a real systemd for all tests of a worker, and a provisioned host in it."""

import json
from collections.abc import Iterator

import pytest
from tests.box.applications import FILES, PORT_FILES
from tests.box.host import Host, fetch_packages, install_host, postgres_unit, reason_against_host
from tests.box.machine import Machine, booted_machine, reason_against


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A booted machine; skips with the reason where there can be none."""
    reason = reason_against()
    if reason is not None:
        pytest.skip(f"no machine of our own here: {reason}")
    with booted_machine() as booted:
        yield booted


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    """A host provisioned from nothing, in a machine of its own."""
    reason = reason_against() or reason_against_host()
    if reason is not None:
        pytest.skip(f"no host of our own here: {reason}")
    fetch_packages()
    with booted_machine() as booted:
        yield install_host(booted)


@pytest.fixture(scope="session")
def postgres() -> str:
    """The unit of PostgreSQL inside."""
    return str(postgres_unit())


@pytest.fixture(scope="session")
def previews(host: Host) -> Host:
    """The host with a preview in each slot."""
    for number, files in ((1, FILES), (2, FILES), (3, PORT_FILES)):
        done = host.publish(number, files)
        assert done["status"] == 0, json.dumps(done, indent=1)[:6000]
    return host
