"""Keys of the environment: what is none is told by its name, and a password is not repeated."""

from pathlib import Path

import pytest

from ouroboros.domain.environment_keys import KeyReader
from ouroboros.domain.errors import BadInput


def reader(**environ: str) -> KeyReader:
    return KeyReader(environ, "OUROBOROS_", Path("/"))


@pytest.mark.parametrize("text", ["http://127.0.0.1:8000", "https://ouroboros.example.com/"])
def test_an_address_is_taken_as_it_is(text):
    keys = reader(OUROBOROS_URL=text)
    assert keys.origin("OUROBOROS_URL") == text
    keys.finish()
    assert reader().origin("OUROBOROS_URL") is None


@pytest.mark.parametrize(
    "text",
    [
        "host", "http://", "http://[::1", "http://host:99999", "http://host:0", "ftp://host",
        "https://me:secret@host", "https://host/path", "https://host?a=b",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_server_is_refused(text):
    keys = reader(OUROBOROS_URL=text)
    assert keys.origin("OUROBOROS_URL") is None
    with pytest.raises(BadInput) as refused:
        keys.finish()
    assert refused.value.code == "invalid_configuration"
    assert list(refused.value.details["problems"]) == ["OUROBOROS_URL"]
    assert "secret" not in str(refused.value)
