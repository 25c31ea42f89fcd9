"""Redirects, header rules and prefixes: read strictly, and all that is accepted is served."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ouroboros.domain.application import Application, parse_application
from ouroboros.domain.errors import BadInput
from ouroboros.entrypoints.surface.rules import compile_path, read_headers, read_redirects

BACKEND = '[backend]\nstart = ["./serve"]\n'


def read(text: str) -> Application:
    return parse_application(BACKEND + text)


def problems(text: str) -> dict[str, str]:
    with pytest.raises(BadInput) as refused:
        read(text)
    return refused.value.details["problems"]


def test_both_ways_to_write_a_redirect_are_read():
    rules = read(
        """
        [[redirects]]
        from = "/old/*"
        to = "/new/:splat"
        [[redirects]]
        from = "/u/:id"
        to = "/users/:id?from=:id"
        status = 200
        force = true
        [[redirects]]
        source = "/docs/:page*"
        destination = "https://docs.example.com/:page"
        permanent = true
        [[redirects]]
        source = "/a"
        destination = "/b"
        """
    ).redirects
    assert [rule.document() for rule in rules] == [
        {"from": "/old/*", "to": "/new/:splat", "status": 301, "force": False},
        {"from": "/u/:id", "to": "/users/:id?from=:id", "status": 200, "force": True},
        {"from": "/docs/:page*", "to": "https://docs.example.com/:page", "status": 308,
         "force": False},
        {"from": "/a", "to": "/b", "status": 307, "force": False},
    ]  # fmt: skip


def test_both_ways_to_write_a_header_rule_are_read():
    rules = read(
        """
        [[headers]]
        for = "/assets/*"
        [headers.values]
        X-Robots-Tag = "noindex"
        Cache-Control = "max-age=60"
        [[headers]]
        source = "/"
        headers = [{ key = "Content-Security-Policy", value = "default-src 'self'" }]
        """
    ).headers
    assert [rule.document() for rule in rules] == [
        {"for": "/assets/*", "values": {"X-Robots-Tag": "noindex", "Cache-Control": "max-age=60"}},
        {"for": "/", "values": {"Content-Security-Policy": "default-src 'self'"}},
    ]


def test_prefixes_stand_beside_api():
    application = parse_application(BACKEND + 'proxy = ["/graphql", "/api", "/socket.io/v4"]')
    assert application.backend is not None
    assert application.backend.proxy == ("/graphql", "/socket.io/v4")


@pytest.mark.parametrize(
    "prefix", ["/", "graphql", "/a/", "//a", "/a b", "/..", "/a/../b", "/.", "/health", "/é", ""]
)
def test_a_prefix_that_is_no_plain_path_is_refused(prefix):
    assert "backend.proxy" in problems(f"proxy = [{prefix!r}]")


REDIRECTS = {
    'from = "/a"': "to",
    'to = "/a"': "from",
    'from = "a"\nto = "/b"': "from",
    'from = "/a*b"\nto = "/b"': "from",
    'from = "/*/a"\nto = "/b"': "from",
    'from = "/a:b"\nto = "/b"': "from",
    'from = "/:a/:a"\nto = "/b"': "from",
    'from = "/:splat/*"\nto = "/b"': "from",
    'from = "/(.*)"\nto = "/b"': "from",
    'from = "/a\\r\\nb"\nto = "/b"': "from",
    'from = "/a"\nto = "/b\\r\\nSet-Cookie: a=b"': "to",
    'from = "/a"\nto = "javascript:alert(1)"': "to",
    'from = "/a"\nto = "//evil.example"\nstatus = 200': None,
    'from = "/a"\nto = "/b/:splat"': "to",
    'from = "/a"\nto = "/b/:name"': "to",
    'from = "/a"\nto = "https://example.com/"\nstatus = 200': "to",
    'from = "/a"\nto = "/b"\nstatus = 418': "status",
    'from = "/a"\nto = "/b"\nstatus = "301"': "status",
    'from = "/a"\nto = "/b"\nforce = 1': "force",
    'from = "/a"\nto = "/b"\nconditions = {}': "conditions",
    'source = "/a"\ndestination = "/b"\npermanent = true\nstatus = 301': "permanent",
    'source = "/a"\nfrom = "/a"\nto = "/b"': "from",
}


@pytest.mark.parametrize(("text", "key"), REDIRECTS.items())
def test_a_redirect_that_could_surprise_is_refused_by_its_key(text, key):
    if key is None:
        read(f"[[redirects]]\n{text}")
    else:
        assert f"redirects[0].{key}" in problems(f"[[redirects]]\n{text}")


HEADERS = {
    'for = "/*"': "values",
    'for = "x"\nvalues = { A = "b" }': "for",
    'for = "/*"\nvalues = { A = 1 }': "values.A",
    'for = "/*"\nvalues = { "A B" = "1" }': "values.A B",
    'for = "/*"\nvalues = { "A" = "1\\r\\nB: 2" }': "values.A",
    'for = "/*"\nvalues = { Content-Length = "1" }': "values.Content-Length",
    'for = "/*"\nvalues = { X-Preview-Commit = "1" }': "values.X-Preview-Commit",
    'for = "/*"\nheaders = [{ key = "A", value = "b", extra = 1 }]': "headers[0].extra",
}


@pytest.mark.parametrize(("text", "key"), HEADERS.items())
def test_a_header_that_could_surprise_is_refused_by_its_key(text, key):
    found = problems(f"[[headers]]\n{text}")
    assert any(name.endswith(key) for name in found), found


def test_there_may_be_200_rules_and_no_more():
    rule = '[[redirects]]\nfrom = "/a"\nto = "/b"\n'
    assert len(read(rule * 200).redirects) == 200
    assert "redirects" in problems(rule * 201)


SEGMENTS = st.from_regex(
    re.compile(r"(/[a-z0-9.~%-]{1,6}|/:[a-z]{1,3}){1,4}(/\*)?"), fullmatch=True
)
TARGETS = st.from_regex(re.compile(r"(/|https://a\.example/)[!-9;-~]{0,12}"), fullmatch=True)
FIELDS = st.from_regex(re.compile(r"[A-Za-z-]{1,12}"), fullmatch=True)


@settings(max_examples=300, deadline=None)
@given(SEGMENTS, TARGETS, st.sampled_from([301, 302, 307, 308, 200, 404]), FIELDS)
def test_the_surface_keeps_every_rule_that_is_accepted(source, target, status, name):
    target = target.replace('"', "").replace("\\", "")
    text = f"""
        [[redirects]]
        from = "{source}"
        to = "{target}"
        status = {status}
        [[headers]]
        for = "{source}"
        values = {{ "{name}" = "v" }}
    """
    try:
        application = read(text)
    except BadInput:
        return
    assert len(read_redirects([rule.document() for rule in application.redirects])) == 1
    kept = read_headers([rule.document() for rule in application.headers])
    assert [rule.values for rule in kept] == [((name, "v"),)]


def test_matching_the_longest_accepted_pattern_comes_to_an_end():
    """With backtracking over the segments it would outlast every time limit."""
    source = "".join(f"/:n{number}" for number in range(60)) + "/*"
    (rule,) = read(f'[[redirects]]\nfrom = "{source}"\nto = "/b"').redirects
    pattern = compile_path(rule.source)
    for path in (b"/a" * 60 + b"/", b"/a" * 4000, b"/" * 8000):
        assert (pattern.fullmatch(path) is not None) == (path == b"/a" * 4000 or path[-2:] == b"a/")
