"""A rehearsal says what migrations would do, and the slot is not touched."""

import sys
import textwrap

import psycopg
import pytest
from tests.databases.conftest import seed

from ouroboros.domain.command import Command
from ouroboros.plans.rehearsal import plan_steps

# A tool with Alembic's command line and table; the real one is tested with the example.
ALEMBIC = """
import os, sys, psycopg
UP = {"a": "ALTER TABLE tools ADD COLUMN colour text DEFAULT 'red'",
      "b": "ALTER TABLE tools ALTER id TYPE bigint; UPDATE tools SET colour = 'blue'"}
DOWN = {"a": "ALTER TABLE tools DROP COLUMN colour", "b": "ALTER TABLE tools ALTER id TYPE int"}
verb, target = sys.argv[-2:]
with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    assert connection.info.dbname == os.environ["SLOT_DB_NAME"]
    connection.execute("CREATE TABLE IF NOT EXISTS alembic_version (version_num text)")
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    done = ["", "a", "b"].index(row[0] if row else "")
    if verb == "upgrade":
        if target == "+1" and done == 2: sys.exit("no step left")
        todo = ["a", "b"][done:] if target == "head" else ["a", "b"][done:done + 1]
        for name in todo: connection.execute(UP[name])
        done += len(todo)
    else:
        connection.execute(DOWN[["a", "b"][done - 1]]); done -= 1
    connection.execute("DELETE FROM alembic_version")
    if done: connection.execute("INSERT INTO alembic_version VALUES (%s)", ["ab"[done - 1]])
    connection.execute("SELECT pg_sleep(0.05)")
"""


def command_of(world, tmp_path, name: str, text: str, *words: str) -> Command:
    script = tmp_path / name
    script.write_text(textwrap.dedent(text))
    env = {
        "DATABASE_URL": world.databases.url(world.slot).text(),
        "SLOT_DB_NAME": world.slot.database.name,
    }
    return Command((sys.executable, str(script), *words), tmp_path, env, 60)


def test_migrations_are_reported_one_by_one(world, tmp_path):
    world.reset(world.slot, seed("v1"))
    command = command_of(world, tmp_path, "alembic", ALEMBIC, "upgrade", "head")
    with world.as_slot(world.slot) as present:
        told = world.databases.rehearse(world.slot, command)
        assert present.execute("SELECT 1").fetchone() == (1,)
    assert told["succeeded"] is True and told["runs_again"] is True
    assert [each["version"] for each in told["migrations"]] == ["a", "b"]
    first, second = told["migrations"]
    assert first["tables_rewritten"] == []
    assert second["tables_rewritten"] == ["public.tools"]
    assert second["rows"]["public.tools"]["updated"] == 3
    held = [each for each in second["locks"] if each["table"] == "public.tools"]
    assert held[0]["mode"] == "AccessExclusiveLock" and held[0]["held_ms"] > 20
    assert told["downgrade"]["works"] is True
    assert told["downgrade"]["comes_back_the_same"] is True
    assert world.databases.verify(world.slot)["matches"]
    assert "ouroboros_rehearsal" not in world.cluster.databases()


def test_a_migration_that_fails_or_cannot_be_repeated_is_a_result(world, tmp_path):
    world.reset(world.slot, seed("v1"))
    head = "import os, psycopg\nk = psycopg.connect(os.environ['DATABASE_URL'], autocommit=True)\n"
    fails = command_of(world, tmp_path, "fails.py", head + "k.execute('SELECT nonsense')")
    told = world.databases.rehearse(world.slot, fails)
    assert told["succeeded"] is False and "nonsense" in told["migrations"][0]["output"]
    once = command_of(world, tmp_path, "once.py", head + "k.execute('CREATE TABLE once (n int)')")
    told = world.databases.rehearse(world.slot, once)
    assert (told["succeeded"], told["runs_again"], told["downgrade"]) == (True, False, None)


def test_the_role_of_a_rehearsal_is_locked_out_when_it_is_over(world, tmp_path):
    world.reset(world.slot, seed("v1"))
    keep = "import os\nopen('url', 'w').write(os.environ['DATABASE_URL'])\n"
    world.databases.rehearse(world.slot, command_of(world, tmp_path, "keep.py", keep))
    url = (tmp_path / "url").read_text()
    assert "ouroboros_rehearsal" in url
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url.replace("/ouroboros_rehearsal?", "/app_preview_1?"))


@pytest.mark.parametrize(
    ("argv", "stepwise"),
    [
        (("uv", "run", "alembic", "upgrade", "head"), True),
        (("/x/bin/alembic", "-c", "a.ini", "upgrade", "heads"), True),
        (("python", "-m", "alembic", "upgrade", "head"), True),
        (("alembic", "upgrade", "abc"), False),
        (("python", "manage.py", "migrate"), False),
    ],
)
def test_only_alembic_to_its_head_is_taken_step_by_step(argv, stepwise):
    assert (plan_steps(argv) is not None) is stepwise
