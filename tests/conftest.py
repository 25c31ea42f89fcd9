"""Fixtures for every test: one PostgreSQL for the session, a control database for each test."""

import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.postgres import (
    TestCluster,
    fresh_control_database,
    make_control_template,
    running_cluster,
)

# Who is started in the background may have been told to ignore it, and would pass that on.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests stay together when several processes run them, and who begins first.

    A file's tests share what they set up; those on the published example share an instance over
    files, and those on a host a machine, which take long to make; so do those with a browser.
    First come those that may take longest, or whose long form may (`soak`), and then those that
    are most: nobody waits for one at the end.
    """
    groups = {item: _group(item) for item in items}
    counts, limits_s = Counter(groups.values()), Counter[str]()
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
        if limit := item.get_closest_marker("timeout"):
            limits_s[group] = max(limits_s[group], limit.args[0])
    items.sort(key=lambda item: (-limits_s[groups[item]], -counts[groups[item]], groups[item]))


def _group(item: pytest.Item) -> str:
    """The costly fixture that a test shares over files, or else its file."""
    used = getattr(item, "fixturenames", ())
    shared = ("published", "host", "pictured")
    return next((name for name in shared if name in used), item.nodeid.partition("::")[0])


@pytest.fixture(scope="session")
def cluster() -> Iterator[TestCluster]:
    """Our own PostgreSQL with roles prepared; not durable, and never to be killed by a test."""
    with running_cluster() as running:
        make_control_template(running)
        yield running


@pytest.fixture
def control_dsn(cluster: TestCluster) -> Iterator[str]:
    """The URL of a fresh, migrated control database."""
    with fresh_control_database(cluster) as dsn:
        yield dsn
