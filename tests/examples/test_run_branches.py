"""The two run branches do what the demo says of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.postgres import TestCluster

from .conftest import EXAMPLES, SlotDatabase, alembic, run, running_backend, slot_database

BRANCHES = EXAMPLES / "toolshed-branches"


WISHES = "SELECT tool_id, member_id, {} FROM {} ORDER BY tool_id, member_id, {}"


@dataclass(frozen=True)
class Migrated:
    """The branch with the migration, carried out on seed v1."""

    backend: Path
    database: SlotDatabase
    wishes_before: str


@pytest.fixture(scope="module")
def reservations(
    repository: Path,
    cluster: TestCluster,
    backend_bin: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Migrated]:
    worktree = tmp_path_factory.mktemp("branch")
    archive = worktree / "branch.tar"
    run("git", "-C", repository, "archive", "-o", archive, "codex/run-demo-reservations")
    run("tar", "-xf", archive, "-C", worktree)
    with slot_database(cluster) as database:
        database.load("v1")
        notes = "(SELECT * FROM desk_notes WHERE kind = 'asks') AS asks"
        wishes = database.psql("-c", WISHES.format("body", notes, "body"))
        alembic(backend_bin, database, worktree / "backend", "upgrade head", "check")
        yield Migrated(worktree / "backend", database, wishes)


def test_the_page_branch_changes_nothing_but_the_page() -> None:
    changed = [path.relative_to(BRANCHES / "page") for path in (BRANCHES / "page").rglob("*.*")]
    assert changed
    assert {path.parts[0] for path in changed} == {"frontend"}


@pytest.mark.parametrize("branch", ["page", "reservations"])
def test_an_overlay_repeats_no_file_that_it_does_not_change(branch: str) -> None:
    for path in (BRANCHES / branch).rglob("*"):
        original = EXAMPLES / "toolshed" / path.relative_to(BRANCHES / branch)
        if path.is_file() and original.is_file():
            assert path.read_bytes() != original.read_bytes(), path


def test_every_wish_becomes_a_reservation(reservations: Migrated) -> None:
    wishes = WISHES.format("purpose", "reservations", "purpose")
    assert reservations.database.psql("-c", wishes) == reservations.wishes_before != ""


def test_how_long_a_tool_is_lent_is_read_off_its_loans(reservations: Migrated) -> None:
    rows = reservations.database.psql(
        "-c", "SELECT loan_days, count(*) FROM tools GROUP BY 1 ORDER BY 1"
    ).splitlines()
    assert {row.split("|")[0] for row in rows} == {"3", "7", "14"}
    assert sum(int(row.split("|")[1]) for row in rows) == 62


def test_no_tool_is_promised_twice_or_while_it_is_lent(reservations: Migrated) -> None:
    clashes = reservations.database.psql(
        "-c",
        "SELECT count(*) FROM reservations a"
        " LEFT JOIN loans l ON l.tool_id = a.tool_id AND l.returned_on IS NULL"
        " LEFT JOIN reservations b ON b.tool_id = a.tool_id AND b.id <> a.id"
        "  AND b.starts_on <= a.ends_on AND a.starts_on <= b.ends_on"
        " WHERE b.id IS NOT NULL OR a.starts_on <= l.due_on",
    )
    assert clashes.strip() == "0"


def test_reservations_queue_up_one_after_the_other(
    reservations: Migrated, backend_bin: Path
) -> None:
    with running_backend(backend_bin, reservations.database, reservations.backend) as client:
        tool = client.get("/api/reservations").json()[0]["tool_id"]
        queue = client.get(f"/api/tools/{tool}/reservations").json()
        waiting = {reservation["member"] for reservation in queue["reservations"]}
        member = _somebody_else(client, waiting)
        placed = client.post(f"/api/tools/{tool}/reservations", json={"member_id": member})
        assert placed.status_code == 201
        last = placed.json()["reservations"][-1]
        assert last["starts_on"] == queue["next_free_on"] < placed.json()["next_free_on"]
        again = client.post(f"/api/tools/{tool}/reservations", json={"member_id": member})
        assert (again.status_code, again.json()["error"]) == (409, "already_reserved")
        left = client.post(f"/api/reservations/{last['id']}/cancel").json()
        assert last["id"] not in {reservation["id"] for reservation in left}
        assert client.post(f"/api/reservations/{last['id']}/cancel").status_code == 404


def _somebody_else(client: httpx.Client, names: set[str]) -> int:
    members = client.get("/api/members").json()
    return int(next(member["id"] for member in members if member["name"] not in names))


def test_going_back_makes_notes_of_the_reservations(
    reservations: Migrated, backend_bin: Path
) -> None:
    database = reservations.database
    alembic(backend_bin, database, reservations.backend, "downgrade 0002", "current")
    notes = "(SELECT * FROM desk_notes WHERE kind = 'asks') AS asks"
    wishes = database.psql("-c", WISHES.format("body", notes, "body"))
    assert wishes == reservations.wishes_before
