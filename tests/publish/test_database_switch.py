"""Front end, backend and database switch together or not at all, and go back together."""

import json
import sys
import threading
import time
import urllib.error
import urllib.request

import psycopg
import pytest
from tests.publish.conftest import Bench, make_bench

TOML = f"""
[frontend]
build = ["python3", "build.py"]
output = "dist"
[backend]
start = ["{sys.executable}", "{{launcher.asgi}}", "app:app"]
listen = "socket"
[database]
migrate = ["{sys.executable}", "migrate.py"]
migrations = ["migrations"]
[[smoke]]
path = "/api/columns"
"""
MIGRATE = """
import os, pathlib, psycopg
with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as db:
    db.execute("CREATE TABLE IF NOT EXISTS seen (name text PRIMARY KEY)")
    for path in sorted(pathlib.Path("migrations").glob("*.sql")):
        if db.execute("SELECT 1 FROM seen WHERE name = %s", [path.name]).fetchone():
            continue
        for part in path.read_text().split(";"):
            if part.strip():
                db.execute(part)
        db.execute("INSERT INTO seen VALUES (%s)", [path.name])
        print("migrated", path.name)
"""
APP = """
import json, os, psycopg
def ask(text, *values):
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as db:
        return [row[0] for row in db.execute(text, values).fetchall()]
def answer(method, path):
    if path == "/health":
        return {"status": "ok", "commit_sha": os.environ["COMMIT_SHA"]}
    if path == "/api/columns":
        return ask("SELECT attname FROM pg_attribute WHERE attnum > 0"
                   " AND attrelid = 'notes'::regclass ORDER BY attnum")
    if path == "/api/notes":
        return ask("SELECT body FROM notes ORDER BY body")
    if method == "POST" and path.startswith("/api/notes/"):
        return ask("INSERT INTO notes (body) VALUES (%s) RETURNING body", path.rpartition("/")[2])
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    found = answer(scope["method"], scope["path"])
    headers = [(b"content-type", b"application/json")]
    status = 404 if found is None else 200
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(found).encode()})
"""
ONE = "CREATE TABLE notes (body text NOT NULL)"
TWO = "ALTER TABLE notes ADD COLUMN stars int NOT NULL DEFAULT 0"
HALF = f"{TWO}; ALTER TABLE nothing ADD COLUMN x int"
OLD = {"preview.toml": TOML, "app.py": APP, "migrate.py": MIGRATE, "migrations/1.sql": ONE}
NEW = {**OLD, "migrations/2.sql": TWO}


@pytest.fixture
def shop(limited_instance, tmp_path) -> Bench:
    """A served preview with one migration and one note."""
    with make_bench(limited_instance, tmp_path) as bench:
        done = bench.publish(OLD)
        assert done.status == 0, done
        assert step(done, "migrate")["migrated"]
        ask(bench, "/api/notes/first", "POST")
        yield bench


def ask(bench: Bench, path: str, method: str = "GET"):
    url = f"http://127.0.0.1:{bench.instance.web_port(bench.number)}{path}"
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=30) as answer:
        return json.loads(answer.read())


def step(done, name: str) -> dict:
    return next(each for each in done.document["steps"] if each["step"] == name)["result"]


def rollback(bench: Bench, *arguments: str):
    return bench.instance.ouroboros("rollback", "--slot", bench.slot_id, *arguments)


def test_a_migration_of_a_served_preview_keeps_the_state_before(shop):
    done = shop.publish(NEW)
    assert done.status == 0, done
    found = step(done, "migrate")
    assert found["held"]
    assert found["checkpoint"].startswith(f"app_preview_{shop.number}__at_")
    assert ask(shop, "/api/columns") == ["body", "stars"]
    assert ask(shop, "/api/notes") == ["first"]


def test_a_publish_reports_what_its_migrations_did(shop):
    rewrite = "ALTER TABLE notes ALTER body TYPE varchar(200) USING left(body, 200)"
    done = shop.publish({**OLD, "migrations/2.sql": f"{rewrite}; UPDATE notes SET body = 'x'"})
    found = step(done, "migrate")
    assert found["report"]["tables_rewritten"] == ["public.notes"]
    assert found["report"]["rows"]["public.notes"]["updated"] == 1
    assert found["report"]["rows"]["public.seen"] == {"inserted": 1, "updated": 0, "deleted": 0}
    assert found["report"]["duration_ms"] > 0
    document = done.document
    kept = shop.instance.state_dir / "artifacts" / document["publish_id"] / found["artifact"]
    assert json.loads(kept.read_text()) == {"slot_id": shop.slot_id, **found["report"]}
    assert "rewrote public.notes" in (kept.parent / "preview.publish.log").read_text()


def test_every_answer_says_which_code_and_which_data_it_comes_from(shop):
    slots = shop.instance.ouroboros("slots").document["slots"]
    own = next(slot for slot in slots if slot["slot_id"] == shop.slot_id)
    for path in ("/", "/api/notes", "/health"):
        url = f"http://127.0.0.1:{shop.instance.web_port(shop.number)}{path}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.headers["X-Preview-Run"] == shop.run_id
            assert answer.headers["X-Preview-Commit"] == own["commit_sha"]
            assert answer.headers["X-Preview-Publish"] == own["publish_id"]
            assert answer.headers["X-Preview-Data"] == own["database_fingerprint"][:16]
    assert ask(shop, "/health")["database_fingerprint"] == own["database_fingerprint"]
    reset = shop.instance.ouroboros(
        "db", "reset-and-seed", "--slot", shop.slot_id, "--run-id", shop.run_id,
        "--strategy", "seed", "--seed-version", "v2",
    )  # fmt: skip
    assert reset.status == 0, reset
    assert ask(shop, "/health")["database_fingerprint"] == reset.document["fingerprint"]


def test_the_same_migrations_are_not_run_again(shop):
    done = shop.publish({**OLD, "marker": "changed"})
    assert done.status == 0, done
    assert step(done, "migrate")["migrated"] is False
    assert shop.served() == done.document["commit_sha"]


@pytest.mark.parametrize(
    ("files", "failed_step"),
    [
        pytest.param({"migrations/2.sql": HALF}, "migrate", id="a migration that fails half-way"),
        pytest.param({"app.py": "raise SystemExit(3)"}, "readiness", id="a backend that ends"),
        pytest.param(
            {"app.py": APP.replace("/api/columns", "/api/columns_of_notes")},
            "smoke",
            id="a smoke check that fails",
        ),
    ],
)
def test_when_a_later_step_fails_the_database_is_as_it_was(shop, files, failed_step):
    before = shop.served()
    failed = shop.publish({**NEW, **files})
    assert failed.status != 0
    assert failed.document["failed_step"] == failed_step, failed
    assert ask(shop, "/api/columns") == ["body"]
    assert ask(shop, "/api/notes") == ["first"]
    assert shop.served() == before
    mended = shop.publish(NEW)
    assert mended.status == 0, mended
    assert ask(shop, "/api/columns") == ["body", "stars"]


def test_a_failed_first_publish_leaves_the_data_that_was_there(limited_instance, tmp_path):
    with make_bench(limited_instance, tmp_path) as bench:
        url = limited_instance.ouroboros("db", "url", "--slot", bench.slot_id).document
        with psycopg.connect(url["database_url"], autocommit=True) as db:
            db.execute("CREATE TABLE by_hand AS SELECT 1 AS n")
        failed = bench.publish({**OLD, "app.py": "raise SystemExit(3)"})
        assert failed.document["failed_step"] == "readiness", failed
        with psycopg.connect(url["database_url"], autocommit=True) as db:
            tables = db.execute(
                "SELECT to_regclass('by_hand') IS NULL, to_regclass('notes') IS NULL"
            ).fetchone()
        assert tables == (False, True)


def test_a_rollback_takes_the_database_along_on_request_and_can_be_undone(shop):
    first = shop.served()
    newer = shop.publish(NEW).document
    ask(shop, "/api/notes/second", "POST")
    back = rollback(shop, "--database")
    assert back.status == 0, back
    assert back.document["rollback_to"] != newer["publish_id"]
    assert shop.served() == first
    assert ask(shop, "/api/columns") == ["body"]
    assert ask(shop, "/api/notes") == ["first"]
    forward = rollback(shop, "--to", newer["publish_id"], "--database")
    assert forward.status == 0, forward
    assert shop.served() == newer["commit_sha"]
    assert ask(shop, "/api/columns") == ["body", "stars"]
    assert ask(shop, "/api/notes") == ["first", "second"]


def test_a_rollback_leaves_the_database_alone_when_nobody_asked(shop):
    first = shop.served()
    assert shop.publish(NEW).status == 0
    back = rollback(shop)
    assert back.status == 0, back
    assert shop.served() == first
    assert ask(shop, "/api/columns") == ["body", "stars"]
    listed = shop.instance.ouroboros("releases", "--slot", shop.slot_id).document["releases"]
    assert [(each["live"], each["kept"]) for each in listed] == [(False, True), (True, True)]


def test_a_rollback_that_cannot_be_is_refused_with_its_reason(shop):
    live = shop.instance.ouroboros("releases", "--slot", shop.slot_id).document["releases"][0]
    for arguments, code in (
        ((), "nothing_to_roll_back_to"),
        (("--to", live["publish_id"]), "already_live"),
        (("--to", "p999999"), "not_a_release_of_the_slot"),
    ):
        refused = rollback(shop, *arguments)
        assert refused.status != 0
        assert refused.document["error"] == code, refused


def test_a_rollback_whose_backend_does_not_start_leaves_everything_as_it_is(shop):
    first = shop.instance.ouroboros("releases", "--slot", shop.slot_id).document["releases"][0]
    newer = shop.publish(NEW).document
    release = shop.instance.state_dir / "slots" / shop.slot_id / "releases" / first["publish_id"]
    found = list(shop.instance.state_dir.rglob(f"{first['publish_id']}/src/app.py"))
    assert found, release
    found[0].write_text("raise SystemExit(3)")
    refused = rollback(shop, "--database")
    assert refused.document["failed_step"] == "readiness", refused
    assert shop.served() == newer["commit_sha"]
    assert ask(shop, "/api/columns") == ["body", "stars"]
    assert found[0].is_file(), "a release that is kept was removed"


POINTS = [
    "migrate.held", "checkpoint.closed", "checkpoint.copied", "checkpoint.taken", "migrate.ran",
]  # fmt: skip
UNDOING = ["exchange.closed", "exchange.renamed", "exchange.done"]


@pytest.mark.soak  # tests/publish/test_every_crash.py has the short form
@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_while_it_migrates_is_followed_by_one_that_finishes(
    shop, failpoint_file, point
):
    failpoint_file.write_text(f"{point}=kill")
    done = shop.publish(NEW)
    assert not failpoint_file.exists(), "the worker was never at this point"
    assert done.status == 0, done
    assert ask(shop, "/api/columns") == ["body", "stars"]
    assert ask(shop, "/api/notes") == ["first"]


@pytest.mark.soak
@pytest.mark.parametrize("point", UNDOING)
def test_a_worker_killed_while_it_goes_back_is_followed_by_one_that_does(
    shop, failpoint_file, point
):
    before = shop.served()
    failpoint_file.write_text(f"{point}=kill")
    failed = shop.publish({**NEW, "app.py": "raise SystemExit(3)"})
    assert not failpoint_file.exists(), "the worker was never at this point"
    assert failed.document["failed_step"] == "readiness", failed
    assert shop.served() == before
    assert ask(shop, "/api/columns") == ["body"]
    assert ask(shop, "/api/notes") == ["first"]


def test_visitors_wait_while_the_database_is_migrated_and_no_request_is_lost(shop):
    slow = MIGRATE.replace("import os", "import time; time.sleep(1); import os")
    ended, told = threading.Event(), []

    def visit() -> None:
        while not ended.is_set():
            began = time.monotonic()
            try:
                found = ask(shop, "/api/columns")
            except (urllib.error.URLError, OSError) as error:
                found = repr(error)
            told.append((found, time.monotonic() - began))
            time.sleep(0.02)

    visitors = [threading.Thread(target=visit) for _ in range(3)]
    for each in visitors:
        each.start()
    try:
        done = shop.publish({**NEW, "migrate.py": slow})
    finally:
        ended.set()
        for each in visitors:
            each.join()
    assert done.status == 0, done
    answers = [found for found, _ in told]
    assert all(found in (["body"], ["body", "stars"]) for found in answers), answers
    assert max(waited for _, waited in told) > 0.9, "nobody was held: the old code ran on"


@pytest.mark.parametrize("point", ["publish.end.begun", "publish.migrate.undone"])
def test_a_publish_that_was_being_undone_when_the_worker_died_is_not_gone_on_with(
    shop, failpoint_file, point
):
    """What is undone already must not be built upon, though the cause has gone meanwhile."""
    before = shop.served()
    once = "import os, pathlib\nflag = pathlib.Path('tried')\n" + (
        "if flag.exists():\n    import runpy\n    globals().update(runpy.run_path('real.py'))\n"
        "else:\n    flag.touch()\n    raise SystemExit(3)\n"
    )
    failpoint_file.write_text(f"{point}=kill")
    failed = shop.publish({**NEW, "app.py": once, "real.py": APP})
    assert not failpoint_file.exists(), "the worker was never at this point"
    assert failed.document["failed_step"] == "readiness", failed
    assert shop.served() == before
    assert ask(shop, "/api/columns") == ["body"]


@pytest.mark.parametrize("point", ["migrate.ran", "publish.migrate.after"])
def test_what_a_dead_worker_migrated_is_given_back_when_the_publish_then_fails(
    shop, failpoint_file, point
):
    """The next worker finds the migrations done: visitors are held all the same."""
    before = shop.served()
    failpoint_file.write_text(f"{point}=kill")
    failed = shop.publish({**NEW, "app.py": "raise SystemExit(3)"})
    assert not failpoint_file.exists(), "the worker was never at this point"
    assert failed.document["failed_step"] == "readiness", failed
    step_of = {each["step"]: each["result"] for each in failed.document["steps"]}
    assert step_of["migrate"]["held"] is True
    assert shop.served() == before
    assert ask(shop, "/api/columns") == ["body"]


def test_nobody_starts_the_old_code_while_its_database_is_migrated(shop):
    slow = "import time; time.sleep(4)\n" + MIGRATE
    shop.repository.commit("work", {**NEW, "migrate.py": slow})
    queued = shop.instance.ouroboros(
        "publish", "--run-id", shop.run_id, "--repo", str(shop.repository.path), "--ref", "work",
        "--detach",
    )  # fmt: skip
    publish_id = queued.document["publish_id"]
    deadline = time.monotonic() + 60
    while True:
        tried = shop.instance.ouroboros("backend", "start", "--slot", shop.slot_id)
        if tried.document.get("error") == "slot_busy":
            break
        assert time.monotonic() < deadline, tried
    while not shop.instance.ouroboros("publishes").document["publishes"][0]["finished_at"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert shop.instance.ouroboros("publishes").document["publishes"][0]["state"] == "ready"
    assert shop.served() == shop.repository.git("rev-parse", "work"), publish_id
