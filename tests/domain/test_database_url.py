"""Database URLs: branch code gets its own slot's database or nothing."""

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from ouroboros.domain.database_url import DatabaseUrl, require_own_database
from ouroboros.domain.errors import PreviewError
from ouroboros.domain.slot import Slot

OWN = "postgresql://app_preview_1:secret@/app_preview_1?host=/run/pg&port=5432"


def refusal(url: str, slot: Slot | None = None) -> str:
    with pytest.raises(PreviewError) as refused:
        require_own_database(slot or Slot(1), url)
    assert "secret" not in str(refused.value)
    return refused.value.code


def test_the_own_database_as_the_own_role_is_accepted():
    require_own_database(Slot(1), OWN)
    require_own_database(Slot(1), "postgresql+psycopg://app_preview_1:x@127.0.0.1/app_preview_1")


@pytest.mark.parametrize(
    "url",
    [
        OWN.replace("_1", "_2"),
        OWN.replace("_1", "_10"),
        "postgresql://app_preview_1:secret@/app_preview_2",
        "postgresql://app_preview_2:secret@/app_preview_1",
        "postgresql://postgres:secret@/app_preview_1",
        "postgresql://app_preview_1:secret@/app_preview_10",
    ],
)
def test_a_neighbour_is_a_mismatch(url):
    assert refusal(url) == "slot_database_mismatch"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "postgresql://app_preview_1:secret@/ouroboros_control",
        "postgresql://app_preview_1:secret@/postgres",
        "postgresql://app_preview_1:secret@/app_preview_1__next",
        "postgresql://app_preview_1:secret@/app_preview_01",
        "postgresql://app_preview_1:secret@/app_preview_1%00",
        "postgresql://app_preview_1:secret@/app_preview_1 ",
        "postgresql://app_preview_1:secret@/",
        "postgresql:///app_preview_1",
        "mysql://app_preview_1:secret@/app_preview_1",
        OWN + "&dbname=app_preview_2",
        OWN + "&user=postgres",
        OWN + "&service=x",
        OWN + "&options=-csearch_path%3Dx",
        OWN + "&DBNAME=app_preview_2",
        OWN.replace("/app_preview_1?", "/app_preview_1/x?"),
        OWN + "#x",
        "postgresql://[app_preview_1:secret@/app_preview_1",
    ],
)
def test_what_is_no_preview_database_or_cannot_be_told_is_unsafe(url):
    assert refusal(url) == "unsafe_database_target"


@given(st.integers(1, 999), st.integers(1, 999))
def test_a_slot_is_bound_to_exactly_one_database(own, other):
    url = DatabaseUrl(Slot(other).database.name, Slot(other).database.role, "p", "/run", 5432)
    if own == other:
        require_own_database(Slot(own), url.text())
    else:
        assert refusal(url.text(), Slot(own)) == "slot_database_mismatch"


text = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1)


@given(text, text, text, st.sampled_from(["/run/a b/pg", "127.0.0.1"]))
def test_libpq_reads_a_url_as_it_was_meant(database, user, password, host):
    url = DatabaseUrl(database, user, password, host, 5433).text()
    read = conninfo_to_dict(url)
    assert (read["dbname"], read["user"], read["password"]) == (database, user, password)
    assert (read["host"], str(read["port"])) == (host, "5433")


def test_a_redacted_url_holds_no_password():
    shown = DatabaseUrl("d", "u", "hunter2", "/run", 5432).redacted()
    assert "hunter2" not in shown
    assert psycopg.conninfo.conninfo_to_dict(shown)["password"] == "***"
