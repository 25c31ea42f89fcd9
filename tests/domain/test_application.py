"""preview.toml: read strictly, with every problem told at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouroboros.domain.application import parse_application
from ouroboros.domain.errors import BadInput

FULL = """
[frontend]
dir = "web"
install = ["npm", "ci"]
build = ["npm", "run", "build"]
output = "out"
spa = false
[backend]
dir = "server"
start = ["node", "main.js", "--port", "{port}"]
health = "/up"
env = { DB = "{database.url}", MODE = "preview" }
[database]
migrate = ["./migrate"]
[[smoke]]
path = "/api/x"
status = 204
[[smoke]]
path = "/"
contains = "hello"
[[smoke]]
kind = "page"
path = "/board"
"""


def problems(text: str) -> dict[str, str]:
    with pytest.raises(BadInput) as refused:
        parse_application(text)
    assert refused.value.code == "invalid_preview_toml"
    return refused.value.details["problems"]


def test_a_full_file_is_read():
    read = parse_application(FULL)
    assert read.frontend is not None
    assert read.backend is not None
    assert read.frontend.output == "out"
    assert not read.frontend.spa
    assert read.backend.start[-1] == "{port}"
    assert read.backend.env["DB"] == "{database.url}"
    assert (read.migrate, read.migrate_dir) == (("./migrate",), "server")
    assert [check.status for check in read.smoke] == [204, 200, 200]
    assert [check.kind for check in read.smoke] == ["http", "http", "page"]


def test_a_page_check_is_visited_with_get_and_there_are_few_of_them():
    page = '[[smoke]]\nkind = "page"\npath = "/"\n'
    text = "[frontend]\n" + page + 'method = "POST"\n[[smoke]]\nkind = "browser"\npath = "/"\n'
    assert problems(text).keys() == {"smoke[0].method", "smoke[1].kind"}
    assert problems("[frontend]\n" + 21 * page).keys() == {"smoke"}
    assert parse_application("[frontend]\n" + 20 * page).smoke[19].kind == "page"


def test_every_problem_is_told_at_once():
    found = problems(
        """
        surprise = 1
        [frontend]
        dir = "../x"
        build = "npm run build"
        [backend]
        listen = "both"
        health = "up"
        env = { PATH = "/x", "a b" = "c", LD_PRELOAD = "x", OK = "{nonsense}" }
        [[smoke]]
        path = "x"
        typo = true
        """
    )
    assert set(found) == {
        "surprise", "frontend.dir", "frontend.build", "backend.listen", "backend.health",
        "backend.start", "backend.env.PATH", "backend.env.a b", "backend.env.LD_PRELOAD",
        "backend.env.OK", "smoke[0].path", "smoke[0].typo",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "[frontend", "x = 1", "[database]\nmigrate = ['x']"])
def test_a_file_that_says_nothing_to_run_is_refused(text):
    assert problems(text)


@given(st.text(max_size=200))
def test_no_text_makes_the_reader_fail_otherwise(text):
    try:
        parse_application(text)
    except BadInput as refused:
        assert refused.code == "invalid_preview_toml"
