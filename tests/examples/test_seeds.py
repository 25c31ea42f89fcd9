"""The committed seeds are what their script writes, and are Alembic's head on main."""

import re
from pathlib import Path

import pytest

from .conftest import EXAMPLES, SEEDS, SlotDatabase, alembic, run

BACKEND = EXAMPLES / "toolshed" / "backend"
VERSIONS = ("v1", "v2")


def test_the_seeds_are_what_their_script_writes(backend_bin: Path, tmp_path: Path) -> None:
    run(backend_bin / "python", EXAMPLES / "toolshed" / "seeds" / "make_seeds.py", tmp_path)
    for version in VERSIONS:
        written = (tmp_path / f"{version}.sql").read_text(encoding="utf-8")
        assert written == (SEEDS / f"{version}.sql").read_text(encoding="utf-8"), version


@pytest.mark.parametrize("version", VERSIONS)
def test_a_seed_needs_no_rights_and_no_clock(version: str) -> None:
    text = (SEEDS / f"{version}.sql").read_text(encoding="utf-8")
    forbidden = (
        r"\b(OWNER|GRANT|CREATE EXTENSION|SET ROLE|now\(\)|random\(\)|CURRENT_\w+)\b|^\\(?!\.$)"
    )
    assert re.findall(forbidden, text, re.MULTILINE) == []
    # The pattern finds what it is there to find.
    assert re.search(forbidden, "ALTER TABLE x OWNER TO y")
    assert re.search(forbidden, "a\n\\connect other\n", re.MULTILINE)


def test_a_seed_is_at_the_head_of_the_migrations(database: SlotDatabase, backend_bin: Path) -> None:
    database.load("v1")
    before = database.dump()
    alembic(backend_bin, database, BACKEND, "upgrade head", "check")
    assert database.dump() == before


def test_both_seeds_have_one_schema() -> None:
    v1, v2 = ((SEEDS / f"{version}.sql").read_text(encoding="utf-8") for version in VERSIONS)
    schema = slice(1, v1.index("\nCOPY "))
    assert v1[schema].splitlines()[1:] == v2[schema].splitlines()[1:]


def test_a_schema_that_differs_from_the_models_is_noticed(
    database: SlotDatabase, backend_bin: Path
) -> None:
    database.load("v1")
    database.psql("-c", "ALTER TABLE tools ALTER COLUMN given_by SET DEFAULT 'nobody'")
    with pytest.raises(AssertionError, match="given_by"):
        alembic(backend_bin, database, BACKEND, "check")


def test_two_loads_of_a_seed_are_equal(database: SlotDatabase, seeded: SlotDatabase) -> None:
    database.load("v1")
    assert database.dump() == seeded.dump().replace(seeded.name, database.name)


def test_new_rows_are_numbered_after_the_seed(database: SlotDatabase) -> None:
    database.load("v1")
    for table in ("shelves", "members", "tools", "loans", "desk_notes"):
        last, following = database.psql(
            "-c", f"SELECT max(id), nextval('{table}_id_seq') FROM {table}"
        ).split("|")
        assert int(following) == int(last) + 1, table


def test_v2_is_v1_some_months_later(database: SlotDatabase, seeded: SlotDatabase) -> None:
    database.load("v2")
    tools = "SELECT id || ' ' || name FROM tools"
    assert set(seeded.psql("-c", tools).splitlines()) < set(database.psql("-c", tools).splitlines())
    counts = (
        "SELECT today, (SELECT count(*) FROM tools), (SELECT count(*) FROM loans),"
        " (SELECT count(*) FROM loans WHERE returned_on IS NULL) FROM desk"
    )
    assert seeded.psql("-c", counts).strip() == "2026-05-16|62|536|20"
    assert database.psql("-c", counts).strip() == "2026-10-10|72|752|26"
