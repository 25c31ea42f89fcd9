"""Fixtures for every test: one PostgreSQL for the session, a control database for each test."""

import sys
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
