"""The backend of main keeps the slot's contract, and lends and takes back."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from psycopg import sql

from .conftest import EXAMPLES, SlotDatabase, running_backend

BACKEND = EXAMPLES / "toolshed" / "backend"


@pytest.fixture(scope="module")
def toolshed(seeded: SlotDatabase, backend_bin: Path) -> Iterator[httpx.Client]:
    """One backend for the module; its tests put back what they change."""
    with running_backend(backend_bin, seeded, BACKEND) as client:
        yield client


@pytest.fixture(scope="module")
def environment() -> ModuleType:
    """`app.environment`, which stands alone, without the rest of the application."""
    specification = importlib.util.spec_from_file_location(
        "toolshed_environment", BACKEND / "app" / "environment.py"
    )
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


def test_health_names_the_commit_and_the_database_that_answered(
    toolshed: httpx.Client, seeded: SlotDatabase
) -> None:
    answer = toolshed.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "slot_id": "preview-1",
        "run_id": "run-7",
        "commit_sha": "c0ffee",
        "database": seeded.name,
    }


@pytest.mark.parametrize("name", ["preview-1", "preview1"])
def test_a_heartbeat_is_read_back_and_changes_nothing_in_the_database(
    toolshed: httpx.Client, seeded: SlotDatabase, name: str
) -> None:
    before = seeded.dump()
    (earlier,) = toolshed.get("/api/slots").json()
    answer = toolshed.post(f"/api/slots/{name}/heartbeat", json={"run_id": "run-7"})
    (slot,) = toolshed.get("/api/slots").json()
    assert answer.status_code == 200
    assert answer.json() == {
        "heartbeat_updated": True,
        "slot_id": "preview-1",
        "run_id": "run-7",
        "reason": None,
        "expires_at": slot["expires_at"],
    }
    assert slot["slot_id"] == "preview-1"
    assert (earlier["heartbeat_at"] or "") < slot["heartbeat_at"] < slot["expires_at"]
    assert seeded.dump() == before


@pytest.mark.parametrize(
    ("name", "run_id", "status", "reason"),
    [
        ("preview-2", "run-7", 409, "slot_mismatch"),
        ("preview-10", "run-7", 409, "slot_mismatch"),
        ("preview-1", "run-8", 409, "run_mismatch"),
        ("preview-01", "run-7", 400, "invalid_slot"),
        ("PREVIEW-1", "run-7", 400, "invalid_slot"),
        ("preview-1%20", "run-7", 400, "invalid_slot"),
    ],
)
def test_a_heartbeat_for_somebody_else_is_refused(
    toolshed: httpx.Client, name: str, run_id: str, status: int, reason: str
) -> None:
    before = toolshed.get("/api/slots").json()
    answer = toolshed.post(f"/api/slots/{name}/heartbeat", json={"run_id": run_id})
    body = answer.json()
    assert (answer.status_code, body.get("reason", body.get("error"))) == (status, reason)
    assert not body.get("heartbeat_updated")
    assert toolshed.get("/api/slots").json() == before


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"SLOT_DB_NAME": "app_preview_10"}, "SLOT_DB_NAME says this slot owns 'app_preview_10'"),
        ({"DATABASE_URL": "postgresql:///x?dbname=y"}, "may not choose its database"),
        ({"DATABASE_URL": "sqlite:///x"}, "not a PostgreSQL URL"),
        ({"SLOT_ID": "preview-2"}, "do not name one slot"),
        ({"PREVIEW_URL": "preview1"}, "not an http or https address"),
        ({"RUN_ID": ""}, "not set: RUN_ID"),
    ],
)
def test_an_environment_of_another_slot_is_refused_with_a_sentence(
    environment: ModuleType, changes: dict[str, str], complaint: str
) -> None:
    variables = {
        "SLOT_ID": "preview-1",
        "SLOT_NUM": "1",
        "SLOT_BACKEND_PORT": "8101",
        "SLOT_DB_NAME": "app_preview_1",
        "DATABASE_URL": "postgresql://slot:secret@/app_preview_1?host=/tmp",
        "RUN_ID": "run-7",
        "COMMIT_SHA": "c0ffee",
        "PREVIEW_URL": "http://preview1.localhost:8088/",
    }
    accepted = environment.read_environment(variables)
    assert accepted.database_url.drivername == "postgresql+psycopg"
    assert accepted.allowed_origins[0] == "http://preview1.localhost:8088"
    with pytest.raises(environment.BadEnvironment) as refused:
        environment.read_environment(variables | changes)
    assert complaint in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "argv", [("python", "-c", "import app.main"), ("alembic", "upgrade", "head")]
)
def test_what_was_started_for_another_slot_ends_at_once(
    database: SlotDatabase, backend_bin: Path, argv: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [backend_bin / argv[0], *argv[1:]],
        cwd=BACKEND,
        env=database.environment(SLOT_DB_NAME="app_preview_10"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"toolshed: DATABASE_URL names the database '{database.name}', "
        "but SLOT_DB_NAME says this slot owns 'app_preview_10'\n"
    )
    assert database.psql("-c", r"\dt") == ""


def test_pages_of_the_preview_may_call_the_backend_and_others_may_not(
    toolshed: httpx.Client,
) -> None:
    def allowed(origin: str) -> str | None:
        answer = toolshed.get("/api/desk", headers={"Origin": origin})
        return answer.headers.get("access-control-allow-origin")

    for origin in (
        "https://preview1.example.com",
        "http://localhost:3101",
        "http://127.0.0.1:3101",
    ):
        assert allowed(origin) == origin
    for origin in ("https://preview2.example.com", "http://localhost:3102", "null"):
        assert allowed(origin) is None


def test_a_backend_answers_again_after_its_database_was_swapped(
    toolshed: httpx.Client, seeded: SlotDatabase
) -> None:
    assert toolshed.get("/api/desk").json()["tools"] == 62
    fresh = f"{seeded.name}_next"
    old, new = sql.Identifier(seeded.name), sql.Identifier(fresh)
    with seeded.cluster.superuser() as connection:
        statement = "ALTER DATABASE {} ALLOW_CONNECTIONS {}"
        connection.execute(sql.SQL(statement).format(old, sql.SQL("false")))
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
            [seeded.name],
        )
        away = toolshed.get("/api/desk")
        assert (away.status_code, away.json()["error"]) == (503, "database_unavailable")
        assert toolshed.get("/health").status_code == 503
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(new, old))
        connection.execute(sql.SQL("DROP DATABASE {}").format(old))
        connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(new, old))
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(old, old))
    assert toolshed.get("/api/desk").json()["tools"] == 62
    assert toolshed.get("/health").status_code == 200


def test_a_tool_is_lent_once_and_taken_back_once(toolshed: httpx.Client) -> None:
    (tool,) = toolshed.get("/api/tools", params={"q": "claw HAMMER"}).json()
    assert tool["state"] == "in"
    address = f"/api/tools/{tool['id']}"
    lent = toolshed.post(f"{address}/lend", json={"member_id": 3, "days": 3, "purpose": " x "})
    assert lent.status_code == 200
    assert (lent.json()["state"], lent.json()["due_on"]) == ("out", "2026-05-19")
    assert lent.json()["loans"][0]["purpose"] == "x"
    again = toolshed.post(f"{address}/lend", json={"member_id": 4})
    assert (again.status_code, again.json()["error"]) == (409, "already_lent")
    assert tool["id"] in {loan["tool_id"] for loan in toolshed.get("/api/loans").json()}

    back = toolshed.post(f"{address}/return")
    assert (back.json()["state"], back.json()["loans"][0]["returned_on"]) == ("in", "2026-05-16")
    twice = toolshed.post(f"{address}/return")
    assert (twice.status_code, twice.json()["error"]) == (409, "not_lent")


def test_what_is_not_there_is_said_to_be_missing(toolshed: httpx.Client) -> None:
    assert toolshed.get("/api/tools/9999").status_code == 404
    assert toolshed.post("/api/tools/9999/return").json()["error"] == "no_such_tool"
    unknown = toolshed.post("/api/tools/9/lend", json={"member_id": 9999})
    assert (unknown.status_code, unknown.json()["error"]) == (404, "no_such_member")
    assert toolshed.post("/api/tools/9/lend", json={"member_id": 1, "days": 5}).status_code == 422


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"q": "100%"}, set()),
        ({"q": "_"}, set()),
        ({"shelf": "table", "q": "apple"}, {"Apple press, 18 l"}),
        ({"shelf": "garden", "q": "apple"}, set()),
    ],
)
def test_the_search_takes_words_literally(
    toolshed: httpx.Client, query: dict[str, str], names: set[str]
) -> None:
    assert {tool["name"] for tool in toolshed.get("/api/tools", params=query).json()} == names


def test_the_wall_adds_up(toolshed: httpx.Client) -> None:
    desk = toolshed.get("/api/desk").json()
    available = toolshed.get("/api/tools", params={"available": "true"}).json()
    assert len(available) == desk["tools"] - desk["lent"]
    assert {tool["state"] for tool in available} == {"in"}
    shelves = toolshed.get("/api/shelves").json()
    assert sum(shelf["tools"] for shelf in shelves) == desk["tools"]
    late = [loan for loan in toolshed.get("/api/loans").json() if loan["days_late"]]
    assert len(late) == desk["late"] > 0


def test_a_database_that_was_never_seeded_is_named(
    toolshed: httpx.Client, seeded: SlotDatabase
) -> None:
    seeded.psql("-c", "ALTER TABLE desk RENAME TO kept")
    seeded.psql("-c", "CREATE TABLE desk (LIKE kept INCLUDING ALL)")
    try:
        answer = toolshed.get("/api/desk")
        assert (answer.status_code, answer.json()["error"]) == (503, "desk_not_set")
        assert toolshed.get("/health").status_code == 200
    finally:
        seeded.psql("-c", "DROP TABLE desk; ALTER TABLE kept RENAME TO desk")
