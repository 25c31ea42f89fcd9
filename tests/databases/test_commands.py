"""`ouroboros db …` and its routes answer as the contract says."""

import contextlib
import json
import threading
import time
from types import SimpleNamespace

import pytest
import uvicorn
from tests.databases.conftest import seed

from ouroboros.adapters.control.answers import AnswerStore
from ouroboros.adapters.control.audit import AuditLog
from ouroboros.adapters.control.events import EventReader
from ouroboros.adapters.control.tokens import TokenStore
from ouroboros.client import Client
from ouroboros.entrypoints.cli import db as reset_commands
from ouroboros.entrypoints.cli import main, resets, states
from ouroboros.entrypoints.http.app import make_app
from ouroboros.services.access.tokens import Tokens


@pytest.fixture(scope="module")
def told(shared_world, tmp_path_factory):
    """A world whose API answers on a unix socket, and a client of it."""
    world = shared_world
    slots = SimpleNamespace(
        holder=lambda slot: None,
        exclusive_work=lambda slot, run_id: contextlib.nullcontext(),
        all=list,
        get=lambda slot: {"run_id": None, "fence": 0, "lease_state": None},
    )
    at = SimpleNamespace(
        settings=world.settings,
        databases=world.databases,
        slots=slots,
        access=world.databases._bench.access,
        events=EventReader(world.control),
        tokens=Tokens(TokenStore(world.control)),
        audit=AuditLog(world.control),
        answers=AnswerStore(world.control),
        web_roots=SimpleNamespace(tell_data=lambda *told: None),
    )
    socket = tmp_path_factory.mktemp("api") / "s"
    server = uvicorn.Server(
        uvicorn.Config(make_app(at), uds=str(socket), log_level="warning", ws="none")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield world, Client(socket)
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def ouroboros(told, monkeypatch, capsys):
    world, client = told
    for module in (states, reset_commands, resets):
        monkeypatch.setattr(module, "client", lambda: client)
    monkeypatch.setattr(states, "settings", lambda: world.settings)

    def run(*words: str) -> tuple[int, dict]:
        status = main.run(["db", *words])
        return status, json.loads(capsys.readouterr().out)

    return run


def test_a_diff_and_a_verify_of_a_changed_slot(told, ouroboros):
    world, _ = told
    assert ouroboros("seed", "--slot", "preview1", "--seed-version", "v1")[0] == 0
    assert ouroboros("verify", "--slot", "preview-1")[1]["matches"] is True
    with world.as_slot(world.slot) as connection:
        connection.execute("DELETE FROM loans WHERE id = 1")
    status, answer = ouroboros("verify", "--slot", "preview-1")
    assert (status, answer["ok"], answer["error"]) == (1, False, "database_differs")
    assert answer["first_difference"]["table"] == "public.loans"
    status, answer = ouroboros("diff", "--slot", "preview-1")
    assert status == 0 and answer["tables"]["public.loans"]["removed"] == 1
    assert states._difference(answer).startswith("table")


def test_a_url_is_what_the_backend_gets(told, ouroboros):
    world, _ = told
    status, answer = ouroboros("url", "--slot", "preview2")
    assert status == 0
    assert answer["database_url"] == world.databases.url(world.settings.pool.slots[1]).text()


def test_snapshots_are_taken_listed_exported_imported_and_deleted(ouroboros, tmp_path):
    status, answer = ouroboros("snapshot", "--slot", "preview-1", "--name", "kept")
    assert status == 0 and answer["paused_ms"] > 0
    assert ouroboros("snapshot", "--slot", "preview-1", "--name", "kept")[1]["error"] == (
        "snapshot_exists"
    )
    status, answer = ouroboros("export", "--name", "kept", "--to", str(tmp_path / "kept.dump"))
    assert status == 0 and (tmp_path / "kept.dump").stat().st_size == answer["bytes"]
    status, answer = ouroboros("import", "--name", "other", "--from", str(tmp_path / "kept.dump"))
    assert status == 0
    status, answer = ouroboros(
        "reset-and-seed", "--slot", "preview-2", "--run-id", "r", "--strategy", "snapshot",
        "--snapshot-version", "other",
    )  # fmt: skip
    assert (status, answer["path"]) == (0, "build")
    versions = {each["version"] for each in ouroboros("list")[1]["sources"]}
    assert {"v1", "kept", "other"} <= versions
    assert ouroboros("delete", "--name", "kept")[0] == 0
    assert ouroboros("delete", "--name", "kept")[0] == 2
    assert (
        ouroboros("import", "--name", "other", "--from", str(tmp_path / "kept.dump"))[1]["error"]
        == "snapshot_exists"
    )


def test_a_fingerprint_is_of_one_thing(told, ouroboros):
    assert ouroboros("fingerprint")[0] == 2
    status, answer = ouroboros("fingerprint", "--seed-version", "v1")
    report = told[0].reset(told[0].slot, seed("v1"))
    assert status == 0 and answer["fingerprint"] == report.fingerprint
    assert ouroboros("fingerprint", "--slot", "preview-1")[1]["promised"] == report.fingerprint


def test_the_pool_reads_well(told, ouroboros):
    told[0].settle()
    status, answer = ouroboros("pool")
    assert status == 0 and "preview-1" in states._pool(answer)
    assert "v1" in states._sources(ouroboros("list")[1])


def test_a_changed_seed_needs_to_be_asked_for(told, ouroboros):
    world, _ = told
    world.seed_file("moving", "CREATE TABLE a (n int);")
    assert ouroboros("seed", "--slot", "preview-1", "--seed-version", "moving")[0] == 0
    world.seed_file("moving", "CREATE TABLE b (n int);")
    words = ("seed", "--slot", "preview-1", "--seed-version", "moving")
    assert ouroboros(*words)[1]["error"] == "seed_changed"
    assert ouroboros(*words, "--dry-run")[1]["error"] == "seed_changed"
    assert ouroboros(*words, "--rebuild")[0] == 0
