"""Two publishes made the same only when everything that was recorded is equal."""

import pytest

from ouroboros.domain.reproduction import compare

MADE = {
    "commit_sha": "a" * 40,
    "migrations": "m",
    "seed_version": "v1",
    "snapshot_version": None,
    "database_fingerprint": "f",
    "lock_files": {"backend/uv.lock": "1"},
    "files": {"index.html": "1", "style.css": "2"},
}


def test_what_is_equal_has_no_difference():
    found = compare(MADE, dict(MADE))
    assert found.equal
    assert found.first_difference is None
    assert found.built_files == 2


@pytest.mark.parametrize(
    ("changed", "first"),
    [
        ({"commit_sha": "b" * 40}, "commit"),
        ({"migrations": "n"}, "migrations"),
        ({"database_fingerprint": "g"}, "database"),
        ({"database_fingerprint": None}, "database"),
        ({"seed_version": "v2"}, "database"),
        ({"lock_files": {}}, "backend/uv.lock"),
        ({"files": {"index.html": "1", "style.css": "3"}}, "style.css"),
        ({"files": {"index.html": "1"}}, "style.css"),
        ({"files": {**MADE["files"], "more.js": "1"}}, "more.js"),
    ],
)
def test_whatever_differs_is_named(changed, first):
    found = compare(MADE, MADE | changed)
    assert not found.equal
    assert found.first_difference == first
    assert not all(value for key, value in found.document().items() if key.endswith("_equal"))


def test_two_states_that_nobody_has_measured_are_not_equal():
    unmeasured = MADE | {"database_fingerprint": None}
    assert compare(unmeasured, unmeasured).first_difference == "database"
