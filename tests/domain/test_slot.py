"""Slots: every name follows from the number, and text is parsed strictly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouroboros.domain.errors import BadInput
from ouroboros.domain.slot import Slot, SlotDatabase, make_pool

POOL = make_pool()


@pytest.mark.parametrize(
    ("number", "host_name", "web", "api", "database", "unit", "root"),
    [
        (1, "preview1.example.com", 3101, 8101, "app_preview_1", "preview1", "web-preview-1"),
        (2, "preview2.example.com", 3102, 8102, "app_preview_2", "preview2", "web-preview-2"),
        (3, "preview3.example.com", 3103, 8103, "app_preview_3", "preview3", "web-preview-3"),
    ],
)
def test_a_slot_has_the_names_of_the_contract(number, host_name, web, api, database, unit, root):
    slot = make_pool(domain="example.com").by_number(number)
    assert slot.id == f"preview-{number}"
    assert (slot.host_name, slot.web_port, slot.api_port) == (host_name, web, api)
    assert (slot.database.name, slot.database.role) == (database, database)
    assert slot.web_unit == f"ouroboros-web@{unit}"
    assert slot.backend_unit == f"ouroboros-backend@{unit}"
    assert slot.web_root == f"infra/{root}"


@pytest.mark.parametrize("text", ["preview-1", "preview1"])
def test_an_id_and_its_alias_name_the_same_slot(text):
    assert POOL.parse(text).id == "preview-1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "preview-01",
        "preview-1 ",
        " preview-1",
        "PREVIEW-1",
        "preview-4",
        "../preview-1",
        "preview-0",
        "preview--1",
        "preview-1\n",
        "preview-१",
        "preview-１",
        "preview_1",
        "preview-1;",
        "app_preview_1",
        "preview-1000000",
        "1",
    ],
)
def test_anything_else_is_refused_and_not_repaired(text):
    with pytest.raises(BadInput) as refused:
        POOL.parse(text)
    assert refused.value.code == "invalid_slot"


@given(st.text(max_size=40))
def test_no_text_but_six_names_a_slot_of_three(text):
    allowed = {f"preview{dash}{n}" for dash in ("-", "") for n in (1, 2, 3)}
    try:
        slot = POOL.parse(text)
    except BadInput:
        assert text not in allowed
    else:
        assert text in allowed
        assert slot.alias == text.replace("-", "")


@given(st.sets(st.integers(1, 999), min_size=1, max_size=50))
def test_no_two_slots_share_a_name(numbers):
    pool = make_pool(",".join(f"preview-{n}" for n in numbers), api_port_base=20000)
    for names in (
        [s.id for s in pool],
        [s.alias for s in pool],
        [s.host_name for s in pool],
        [s.web_port for s in pool] + [s.api_port for s in pool],
        [s.web_root for s in pool],
        [s.os_user for s in pool],
        [n for s in pool for n in (s.database.name, s.database.standby, s.database.making)],
    ):
        assert len(names) == len(set(names))


@given(st.integers(1, 999))
def test_every_database_name_fits_postgresql(number):
    database = SlotDatabase(number)
    for name in (database.standby, database.making, database.retired(2**63)):
        assert len(name.encode()) <= 63


@pytest.mark.parametrize("number", [0, -1, 1000, "1", 1.0, True, None])
def test_a_slot_database_cannot_be_made_from_anything_but_a_slot_number(number):
    with pytest.raises(BadInput):
        SlotDatabase(number)


@pytest.mark.parametrize(
    "arguments",
    [
        {"slot_ids_csv": ""},
        {"slot_ids_csv": "preview-1,preview-1"},
        {"slot_ids_csv": "preview1"},
        {"slot_ids_csv": "preview-1, preview-2"},
        {"domain": "Example.com"},
        {"domain": "a b"},
        {"domain": ""},
        {"web_port_base": 70000},
        {"web_port_base": 100},
        {"web_port_base": 8100},
    ],
)
def test_a_pool_that_cannot_be_is_refused_with_its_key(arguments):
    with pytest.raises(BadInput) as refused:
        make_pool(**arguments)
    assert refused.value.code == "invalid_configuration"
    assert refused.value.details["key"]


def test_on_localhost_the_address_carries_the_surface_port():
    assert Slot(2).preview_url == "http://preview2.localhost:3102"
    assert Slot(2, "example.com").preview_url == "https://preview2.example.com"
