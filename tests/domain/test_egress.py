"""What a backend may reach: what can be asked for, what is allowed, and what a unit gets."""

import pytest

from ouroboros.domain.application import parse_application
from ouroboros.domain.egress import NEAR, problem_with, refused
from ouroboros.domain.errors import BadInput
from ouroboros.plans.units.branches import render_egress
from ouroboros.settings import read_settings

BACKEND = '[backend]\nstart = ["x"]\nlisten = "{listen}"\negress = {egress}\n'


def asked(egress: str, listen: str = "socket") -> tuple[str, ...]:
    found = parse_application(BACKEND.format(egress=egress, listen=listen))
    assert found.backend is not None
    return found.backend.egress


def test_networks_can_be_asked_for_and_nothing_is_the_default():
    assert asked('["10.1.2.0/24", "192.0.2.7", "2001:db8::/32"]') == (
        "10.1.2.0/24", "192.0.2.7", "2001:db8::/32",
    )  # fmt: skip
    assert asked("[]") == ()


@pytest.mark.parametrize(
    "text", ["db.example.com", "192.0.2.7:5432", "10.1.2.3/24", "10.0.0.0/33", "", "localhost",
             "127.0.0.1", "169.254.169.254", "0.0.0.0/0", "::/0", "::1", "fe80::1",
             "10.0.0.1 127.0.0.1", "10.0.0.1\nPrivateNetwork=no"],
)  # fmt: skip
def test_names_ports_and_the_host_itself_cannot(text):
    assert problem_with(text) is not None
    with pytest.raises(BadInput) as found:
        asked(f"[{text!r}]" if "\n" not in text else '["10.0.0.1\\nPrivateNetwork=no"]')
    assert found.value.code == "invalid_preview_toml" and "egress" in found.value.message


def test_a_backend_that_binds_a_port_cannot_ask():
    with pytest.raises(BadInput, match="socket"):
        asked('["10.1.2.0/24"]', "port")


@pytest.mark.parametrize(
    ("wanted", "allowed", "missing"),
    [
        (["10.1.2.0/24"], "none", ["10.1.2.0/24"]),
        (["10.1.2.0/24"], "any", []),
        (["10.1.2.0/24", "192.0.2.7"], "10.1.0.0/16", ["192.0.2.7"]),
        (["10.0.0.0/8"], "10.1.0.0/16", ["10.0.0.0/8"]),
        (["2001:db8::1"], "10.0.0.0/8,2001:db8::/32", []),
        (["any"], "10.0.0.0/8", ["any"]),
        (["any"], "any", []),
        ([], "none", []),
    ],
)
def test_what_no_allowed_network_holds_is_refused(wanted, allowed, missing):
    assert refused(wanted, allowed) == missing


def test_an_operator_cannot_allow_the_host_itself():
    for text in ("127.0.0.0/8", "0.0.0.0/0", "10.0.0.0/8,169.254.169.254", "db.example.com"):
        with pytest.raises(BadInput, match="OUROBOROS_BACKEND_EGRESS"):
            read_settings({"OUROBOROS_BACKEND_EGRESS": text})
    assert read_settings({}).backend_egress == "none"


def test_a_unit_gets_what_was_asked_for_and_forgets_what_it_had():
    drop_in = render_egress(["10.1.2.0/24", "192.0.2.7"])
    assert "IPAddressAllow=\nIPAddressAllow=10.1.2.0/24 192.0.2.7\n" in drop_in
    assert drop_in.endswith("SystemCallFilter=~bind\n")
    everything = render_egress(["any"])
    assert all(each in everything for each in NEAR) and "IPAddressAllow=\n" in everything
