"""One machine with a real systemd for all tests of this package."""

from collections.abc import Iterator

import pytest
from tests.box.machine import Machine, booted_machine, reason_against


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A booted machine; skips with the reason where there can be none."""
    reason = reason_against()
    if reason is not None:
        pytest.skip(f"no machine of our own here: {reason}")
    with booted_machine() as booted:
        yield booted
