"""Fingerprint, verify and diff say exactly what a slot's database is and how it changed."""

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.databases.conftest import V1, seed

from ouroboros.domain.difference import compare_rows, read_copy_row
from ouroboros.domain.errors import Refused
from ouroboros.entrypoints.cli.states import _difference


@pytest.fixture(scope="module")
def one(shared_world):
    shared_world.reset(shared_world.slot, seed("v1"))
    return shared_world


@pytest.fixture
def fresh(one):
    one.reset(one.slot, seed("v1"))
    return one


def test_a_slot_just_reset_matches_its_promise_and_differs_in_nothing(fresh):
    assert fresh.databases.verify(fresh.slot)["matches"] is True
    told = fresh.databases.diff(fresh.slot)
    assert told["changed"] is False and told["tables"] == {}
    assert fresh.databases.fingerprint(fresh.slot)["promised"] == told_fingerprint(fresh)


def told_fingerprint(world) -> str:
    return world.databases.fingerprint(seed("v1"))["fingerprint"]


def test_a_diff_says_exactly_what_a_run_did(fresh):
    with fresh.as_slot(fresh.slot) as connection:
        connection.execute("INSERT INTO tools (id, name) VALUES (4,'rake'),(5,'hoe'),(6,'a\tb\\n')")
        connection.execute("UPDATE tools SET name = name || '!' WHERE id IN (1, 2)")
        connection.execute("DELETE FROM loans WHERE id = 2")
        connection.execute("DELETE FROM tools WHERE id = 3")
        connection.execute("ALTER TABLE tools ADD COLUMN colour text DEFAULT 'red'")
    told = fresh.databases.diff(fresh.slot)
    tools = told["tables"]["public.tools"]
    assert (tools["added"], tools["changed"], tools["removed"]) == (3, 2, 1)
    assert told["tables"]["public.loans"]["removed"] == 1
    assert [(each["kind"], each["name"]) for each in told["schema"]["added"]] == [
        ("column", "public.tools.colour")
    ]
    assert told["schema"]["changed"] == told["schema"]["removed"] == []
    assert tools["samples"]["changed"][0] == {
        "key": {"id": "1"},
        "changes": {"name": ["drill", "drill!"]},
    }
    assert {"id": "6", "name": "a\tb\\n"} in tools["samples"]["added"]
    assert tools["samples"]["removed"] == [{"id": "3", "name": "saw"}]
    assert not any(name.startswith("ouroboros_loader") for name in fresh.ours())


def test_a_diff_of_3_added_2_changed_1_removed_and_a_column_says_exactly_that(fresh):
    with fresh.as_slot(fresh.slot) as connection:
        connection.execute("INSERT INTO loans VALUES (3,1,'2026-03-01'),(4,1,'2026-03-02')")
        connection.execute("INSERT INTO loans VALUES (5,2,'2026-03-03')")
        connection.execute("UPDATE tools SET name = upper(name) WHERE id IN (1, 2)")
        connection.execute("DELETE FROM loans WHERE id = 1")
        connection.execute("ALTER TABLE loans ADD COLUMN note text")
    told = fresh.databases.diff(fresh.slot, sample_size=0)
    counts = ("added", "changed", "removed")
    assert {name: [each[key] for key in counts] for name, each in told["tables"].items()} == {
        "public.loans": [3, 0, 1],
        "public.tools": [0, 2, 0],
    }
    assert told["sequences"] == {}
    assert _difference({**told, "slot_id": "preview-1"}).splitlines() == [
        "+ column public.loans.note",
        "",
        "table         added  changed  removed",
        "public.loans  +3     ~0       -1",
        "public.tools  +0     ~2       -0",
        "",
    ]


def test_rows_that_policies_hide_even_from_their_owner_are_an_error_and_no_half_fingerprint(fresh):
    with fresh.as_slot(fresh.slot) as connection:
        connection.execute("ALTER TABLE tools ENABLE ROW LEVEL SECURITY")
        connection.execute("CREATE POLICY first_only ON tools USING (id = 1)")
    assert fresh.databases.fingerprint(fresh.slot)["tables"]["public.tools"]["rows"] == 3
    with fresh.as_slot(fresh.slot) as connection:
        connection.execute("ALTER TABLE tools FORCE ROW LEVEL SECURITY")
    for ask in (fresh.databases.fingerprint, fresh.databases.verify, fresh.databases.diff):
        with pytest.raises(Refused) as refused:
            ask(fresh.slot)
        assert refused.value.code == "row_security_forced"
        assert refused.value.details["tables"] == ["public.tools"]


def test_verify_names_the_first_table_and_row_that_differ(fresh):
    with fresh.as_slot(fresh.slot) as connection:
        connection.execute("UPDATE loans SET lent_on = '2026-03-03' WHERE id = 2")
    told = fresh.databases.verify(fresh.slot)
    assert told["matches"] is False
    assert told["first_difference"] == {
        "what": "row", "change": "changed", "table": "public.loans", "row": {"id": "2"},
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        "CREATE INDEX ON tools (name)",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE VIEW v AS SELECT 1 AS n",
        "CREATE TYPE mood AS ENUM ('fine')",
        "ALTER TABLE tools ALTER name DROP NOT NULL",
        "ALTER TABLE tools ADD CHECK (id > 0)",
        "COMMENT ON TABLE tools IS 'things'",
        "CREATE EXTENSION citext",
        "SELECT nextval('tools_id_seq')",
        "ALTER SEQUENCE tools_id_seq INCREMENT 2",
        "GRANT SELECT ON tools TO PUBLIC",
        "ALTER TABLE tools ENABLE ROW LEVEL SECURITY",
        "CREATE TABLE empty (n int)",
        "SELECT lo_create(4711)",
        "CREATE TRIGGER t BEFORE UPDATE ON tools FOR EACH ROW"
        " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "ALTER TABLE loans DROP CONSTRAINT loans_tool_id_fkey",
        "CREATE MATERIALIZED VIEW m AS SELECT 1 AS n",
        "UPDATE tools SET name = 'Drill' WHERE id = 1",
    ],
)
def test_every_kind_of_change_changes_the_fingerprint(fresh, change):
    with fresh.as_slot(fresh.slot) as connection:
        connection.execute(change)
    assert fresh.databases.verify(fresh.slot)["matches"] is False


def test_physical_order_and_dead_rows_do_not_change_the_fingerprint(fresh):
    with fresh.as_slot(fresh.slot) as connection:
        connection.execute("UPDATE tools SET name = name || '?'")
        connection.execute("UPDATE tools SET name = rtrim(name, '?')")
        connection.execute("DELETE FROM loans; INSERT INTO loans VALUES (2,3,'2026-02-03')")
        connection.execute("INSERT INTO loans VALUES (1,1,'2026-01-02')")
    assert fresh.databases.verify(fresh.slot)["matches"] is True


def test_a_hostile_cast_runs_with_no_more_rights_than_the_slot_has(fresh):
    with fresh.as_slot(fresh.slot) as connection:
        connection.execute("CREATE TABLE trap (n int); INSERT INTO trap VALUES (1)")
        connection.execute(
            "CREATE FUNCTION spring(trap) RETURNS text LANGUAGE plpgsql AS $$"
            " BEGIN RAISE EXCEPTION 'ran as %', session_user; END $$"
        )
        connection.execute("CREATE CAST (trap AS text) WITH FUNCTION spring(trap)")
    with pytest.raises(Exception, match=r"ran as app_preview_1") as ran:
        fresh.databases.fingerprint(fresh.slot)
    assert "ouroboros" not in str(ran.value).replace("ouroboros_tpl", "")


def test_tables_without_a_key_are_compared_as_bags_of_rows(one):
    one.seed_file("bag", V1 + "CREATE TABLE bag (n int); INSERT INTO bag VALUES (1),(1),(2);")
    one.reset(one.slot, seed("bag"))
    with one.as_slot(one.slot) as connection:
        connection.execute("DELETE FROM bag WHERE ctid IN (SELECT min(ctid) FROM bag WHERE n=1)")
        connection.execute("INSERT INTO bag VALUES (9)")
    bag = one.databases.diff(one.slot)["tables"]["public.bag"]
    assert (bag["added"], bag["changed"], bag["removed"]) == (1, 0, 1)


def test_a_database_that_no_reset_made_has_no_promise(one):
    with one.cluster.admin() as connection:
        connection.execute("COMMENT ON DATABASE app_preview_3 IS NULL")
    with pytest.raises(Refused) as refused:
        one.databases.verify(one.settings.pool.slots[2])
    assert refused.value.code == "never_reset"


def test_seeds_that_are_not_deterministic_are_named_by_table_and_column(world):
    table = "CREATE TABLE t (id int PRIMARY KEY, v text {default});"
    bad = {
        "clock": (table.format(default="DEFAULT now()") + "INSERT INTO t (id) VALUES (1);"),
        "day": (table.format(default="") + "INSERT INTO t VALUES (1, CURRENT_DATE);"),
        "dice": (table.format(default="") + "INSERT INTO t VALUES (1, random());"),
    }
    for version, text in bad.items():
        world.seed_file(version, text)
        report = world.reset(world.slot, seed(version))
        assert report.details["not_deterministic"] == ["public.t.v"], version
        with pytest.raises(Refused) as refused:
            world.seed_file(f"{version}-strict", text)
            world.reset(world.slot, seed(f"{version}-strict"), strict=True)
        assert refused.value.code == "seed_not_deterministic"
        assert refused.value.details["columns"] == ["public.t.v"]
    assert world.reset(world.slot, seed("v1"), strict=True).details["not_deterministic"] == []


def test_a_seed_of_inserts_gets_a_hint_about_copy(world):
    lines = "\n".join(f"INSERT INTO t VALUES ({n});" for n in range(1200))
    world.seed_file("slow", "CREATE TABLE t (n int);\n" + lines)
    assert "COPY" in world.reset(world.slot, seed("slow")).details["advice"][0]


KEYS = st.binary(min_size=1, max_size=3)


@given(
    before=st.dictionaries(KEYS, st.integers(0, 3)), after=st.dictionaries(KEYS, st.integers(0, 3))
)
def test_comparing_sorted_rows_finds_what_a_set_comparison_finds(before, after):
    def rows(side):
        return [(key, (str(key), str(side[key]))) for key in sorted(side)]

    found = compare_rows(rows(before), rows(after), ["k"], ["k", "v"], 3)
    assert found.added == len(after.keys() - before.keys())
    assert found.removed == len(before.keys() - after.keys())
    assert found.changed == sum(before[k] != after[k] for k in before.keys() & after.keys())


@pytest.mark.parametrize(
    "text", ["plain", "tab\there", "line\nfeed", "back\\slash", "\\N", "é\r\b\f\v"]
)
def test_a_row_of_copy_reads_back_as_it_was(cluster, text):
    with (
        cluster.admin() as connection,
        connection.cursor().copy(
            "COPY (SELECT 'k', %s::text, NULL::text) TO STDOUT", [text]
        ) as copy,
    ):
        (line,) = [bytes(chunk) for chunk in copy]
    assert read_copy_row(line) == (b"k", (text, None))
    assert isinstance(connection, psycopg.Connection)


def test_a_slow_seed_is_checked_later_by_the_worker(world, monkeypatch):
    from ouroboros.services.databases import templates

    monkeypatch.setattr(templates, "_CHECK_AT_ONCE_S", 0.0)
    dice = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, random());"
    world.seed_file("dice", dice)
    for version in ("v1", "dice"):
        assert world.reset(world.slot, seed(version)).details["not_deterministic"] == []
    world.settle()
    found = {
        each["source"]["version"]: each["not_deterministic"]
        for each in world.databases.pool()["templates"]
    }
    assert found["v1"] == [] and found["dice"] == ["public.t.v"]
