"""What we accept, other parsers read in the same way; what we alone refuse has a name here."""

import re

import h11
import httptools
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ouroboros.entrypoints.surface.framing import ChunkedBody
from ouroboros.entrypoints.surface.head import Grammar
from ouroboros.entrypoints.surface.limits import Limits
from ouroboros.entrypoints.surface.refusal import Refusal
from ouroboros.entrypoints.surface.request import Request, passed_on
from ouroboros.entrypoints.surface.rules import compile_path, read_redirects
from ouroboros.entrypoints.surface.static import plain_path, read_codings, read_ranges

HOSTS = frozenset((b"localhost",))

# What RFC 9112 lets a recipient accept and the surface does not, each with the reason.
REFUSED_BY_US_ALONE = {
    "bad_target": "absolute and authority form, raw quotes, #, < > and bytes above 0x7e",
    "bad_framing": "a coding other than exactly chunked, and any Transfer-Encoding in HTTP/1.0",
    "bad_length": "leading zeros and lists of equal lengths",
    "repeated_field": "a second one of a field that has one value",
    "bad_host": "a Host that is no plain name, literal or port",
    "host_not_served": "a name outside the allow-list",
    "host_missing": "also in HTTP/1.0",
    "bad_version": "HTTP/1.2 and later minors",
    "bad_connection": "Connection naming an end-to-end field",
    "method_refused": "CONNECT, TRACE, TRACK, PRI",
    "bad_expectation": "expectations other than 100-continue",
    "bad_upgrade": "an upgrade with a body or another method than GET",
    "body_too_large": "a limit",
    "target_too_long": "a limit",
    "too_many_fields": "a limit",
    "bad_request_line": "an empty line before the request, other white space than one space",
    "bad_character": "a bare CR or LF, and control characters",
    "bad_field": "control characters and folded lines that some parsers let through",
    "bad_expected_commit": "X-Preview-Expect is ours",
}


def read(head: bytes) -> Request:
    return Grammar(Limits(), HOSTS).read(head)


class Seen:
    """What httptools made of a head."""

    def __init__(self) -> None:
        self.target = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.is_complete = False

    def on_url(self, part: bytes) -> None:
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.strip()))

    def on_headers_complete(self) -> None:
        self.is_complete = True


def by_httptools(head: bytes):
    seen = Seen()
    parser = httptools.HttpRequestParser(seen)
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        return None
    if not seen.is_complete:
        return None
    return parser.get_method(), seen.target, sorted(seen.fields)


def by_h11(head: bytes):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1_000_000)
    try:
        connection.receive_data(head)
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.Request):
        return None
    return event.method, event.target, sorted((n, v.strip()) for n, v in event.headers)


def ours(request: Request):
    pairs = [line.partition(b":") for line in request.lines]
    fields = sorted((name.lower(), value.strip()) for name, _, value in pairs)
    return request.method, request.target, fields


def compare(head: bytes) -> None:
    try:
        request = read(head)
    except Refusal as refusal:
        theirs = by_httptools(head) or by_h11(head)
        assert theirs is None or refusal.code in REFUSED_BY_US_ALONE, refusal.code
        return
    mine = ours(request)
    for name, theirs in (("httptools", by_httptools(head)), ("h11", by_h11(head))):
        if theirs is None:
            assert is_known_difference(name, request), (name, head)
        else:
            assert theirs == mine, (name, head)


def is_known_difference(name: str, request: Request) -> bool:
    """Heads that we accept and an oracle does not, for a reason that is not ours to share."""
    methods = {b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"}
    if name == "httptools":
        # llhttp knows a list of methods, and takes bytes of an upgrade for its own.
        return request.method not in methods or b"upgrade" in request.fields.first
    # h11 wants RFC 9110 in some values: no bytes above 0x7f in names is shared by all.
    return b"expect" in request.fields.first or b"\x7f" in request.target


TOKENS = st.from_regex(re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}"), fullmatch=True)
NAMES = st.sampled_from(
    [b"Host", b"host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Upgrade", b"TE",
     b"Expect", b"Accept", b"Cookie", b"X-A", b"Range", b"X-Preview-Expect", b"content-length"]
) | TOKENS  # fmt: skip
VALUES = st.sampled_from(
    [b"localhost", b"localhost:80", b"5", b"05", b"+5", b"5, 5", b"chunked", b"gzip, chunked",
     b"close", b"keep-alive, Upgrade", b"websocket", b"100-continue", b"", b" ", b"\ta\t", b"a b",
     b"\xe9", b"bytes=0-1", b"abcdef0", b"host", b"a\x00b", b"a\rb", b"a\nb", b"a\r\n b"]
) | st.binary(max_size=12)  # fmt: skip
SEPARATORS = st.sampled_from([b": ", b":", b":\t", b" : ", b":  ", b" "])
ENDS = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\r\n"])
METHODS = (
    st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"CONNECT", b"get", b"G T"]) | TOKENS
)
TARGETS = st.sampled_from(
    [b"/", b"/api/x", b"*", b"http://localhost/", b"/a b", b"//", b"/%zz?#", b"/\xc3\xa9", b""]
) | st.from_regex(re.compile(rb"/[!-~]{0,20}"), fullmatch=True)  # fmt: skip
VERSIONS = st.sampled_from(
    [b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.10", b"http/1.1"]
)


@st.composite
def heads(draw):
    line = draw(METHODS) + b" " + draw(TARGETS) + b" " + draw(VERSIONS) + draw(ENDS)
    fields = [b"Host: localhost\r\n"] if draw(st.booleans()) or draw(st.booleans()) else []
    for _ in range(draw(st.integers(0, 5))):
        fields.append(draw(NAMES) + draw(SEPARATORS) + draw(VALUES) + draw(ENDS))
    return line + b"".join(fields) + b"\r\n"


@settings(max_examples=1500, deadline=None)
@given(heads())
@example(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: \x7f\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: localhost\r\nA:\r\n\r\n")
def test_every_head_that_we_accept_is_read_the_same_by_others(head):
    compare(head)


@settings(max_examples=300, deadline=None)
@given(heads())
def test_a_repeated_head_is_read_as_it_was_the_first_time(head):
    grammar = Grammar(Limits(), HOSTS)
    outcomes = set()
    for _ in range(3):
        try:
            outcomes.add(repr(ours(grammar.read(head))))
        except Refusal as refusal:
            outcomes.add(refusal.code)
    assert len(outcomes) == 1


def meaning(grammar: Grammar, head: bytes) -> object:
    """All that the rest of the surface acts on."""
    try:
        request = grammar.read(head)
    except Refusal as refusal:
        return refusal.code
    fields = request.fields
    return (
        ours(request), request.http11, passed_on(request), fields.keep_alive, fields.length,
        fields.upgrade, fields.is_plain, fields.is_simple, fields.is_conditional,
        fields.expect_continue, fields.expect_commit, fields.codings, fields.navigation,
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(heads(), min_size=2, max_size=5), st.randoms())
def test_what_is_remembered_of_other_heads_changes_nothing(some, rng):
    grammar = Grammar(Limits(memo_entries=4), HOSTS)
    for head in rng.choices(some, k=8):
        # Twice, so that its lines are kept, and lines of several heads mixed into one.
        for _ in range(2):
            assert meaning(grammar, head) == meaning(Grammar(Limits(), HOSTS), head)
        lines = [line for other in some for line in other.split(b"\r\n")[1:-2]]
        mixed = b"\r\n".join([b"GET / HTTP/1.1", *rng.sample(lines, len(lines)), b"", b""])
        assert meaning(grammar, mixed) == meaning(Grammar(Limits(), HOSTS), mixed)


def test_what_connection_names_is_dropped_also_from_lines_that_are_known():
    grammar = Grammar(Limits(), HOSTS)
    plain = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\nX-B: 2\r\n\r\n"
    named = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: x-a\r\nX-A: 1\r\nX-B: 2\r\n\r\n"
    for _ in range(3):
        assert passed_on(grammar.read(plain)) == plain[:-2]
        kept = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-B: 2\r\n"
        assert passed_on(grammar.read(named)) == kept


def test_the_memo_does_not_carry_a_version_over():
    grammar = Grammar(Limits(), HOSTS)
    tail = b"\r\nHost: localhost\r\n\r\n"
    for _ in range(3):
        assert grammar.read(b"GET / HTTP/1.1" + tail).fields.keep_alive
        assert not grammar.read(b"GET / HTTP/1.0" + tail).fields.keep_alive


def test_what_is_remembered_is_bounded():
    grammar = Grammar(Limits(memo_entries=8), HOSTS)
    for number in range(200):
        for _ in range(2):
            grammar.read(
                b"GET /%d HTTP/1.1\r\nHost: localhost\r\nX: %d\r\nX-%d: 1\r\nAccept: %d\r\n\r\n"
                % (number, number, number, number)
            )
    memos = [grammar._lines, *grammar._meanings]
    assert all(len(memo.known) <= 8 and len(memo._seen) <= 8 for memo in memos)
    assert 0 < len(grammar._kinds) <= 32
    assert 0 < len(grammar._names) <= 8


def test_lines_that_are_long_are_not_remembered():
    grammar = Grammar(Limits(), HOSTS)
    for _ in range(3):
        grammar.read(b"GET /%s HTTP/1.1\r\nHost: localhost\r\nCookie: %s\r\n\r\n" % (
            b"a" * 4000, b"b" * 20_000))  # fmt: skip
    kept = (grammar._lines.known, grammar._kinds, grammar._meanings[1].known)
    assert all(len(repr(memo)) < 1000 for memo in kept)


@settings(max_examples=400, deadline=None)
@given(heads(), st.integers(1, 60))
def test_the_beginning_of_a_good_head_is_never_refused(head, size):
    grammar = Grammar(Limits(), HOSTS)
    try:
        grammar.read(head)
    except Refusal:
        return
    grammar.check_part(head[: min(size, len(head) - 1)])


@settings(max_examples=400, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.data())
def test_chunks_mean_the_same_however_they_are_split(parts, data):
    wire = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\nX: 1\r\n\r\n"
    wire += b"NEXT"
    body = ChunkedBody(1000, decoded=True)
    pieces, rest, at = b"", b"", 0
    while at < len(wire):
        step = data.draw(st.integers(1, 9))
        if body.done:
            rest += wire[at : at + step]
        else:
            got, over = body.feed(wire[at : at + step])
            pieces += b"".join(got)
            rest += over
        at += step
    assert (pieces, rest, body.done) == (b"".join(parts), b"NEXT", True)
    assert body.trailers == b"X: 1\r\n"


@settings(max_examples=600, deadline=None)
@given(st.binary(max_size=60), st.integers(1, 60))
def test_a_chunked_body_is_read_whole_and_split_alike_or_refused_in_both(wire, cut):
    outcomes = []
    for steps in ((wire,), (wire[:cut], wire[cut:])):
        body = ChunkedBody(1000, decoded=True)
        pieces = b""
        try:
            for step in steps:
                if not body.done:
                    pieces += b"".join(body.feed(step)[0])
            outcomes.append((pieces, body.done))
        except Refusal:
            outcomes.append(None)
    assert outcomes[0] == outcomes[1]


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
def test_small_languages_never_fail_on_odd_input(text):
    value = text.encode("utf-8", "replace")
    read_ranges(value, 100)
    read_codings(value)
    compile_path("/" + text)
    read_redirects([{"from": text, "to": text}])
    try:
        assert b"/../" not in plain_path(b"/" + value)
    except Refusal as refusal:
        assert refusal.status == 404


@pytest.mark.parametrize("seed", range(3))
def test_a_head_may_come_in_any_pieces(surface, backend, seed):
    import random

    rng = random.Random(seed)
    head = (
        b"GET /api/x HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * 40 + b"\r\n\r\n"
        b"POST /api/y HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    cuts = sorted(rng.sample(range(1, len(head)), 40)) if seed else list(range(1, len(head)))
    import socket

    from tests.surface.support import answers_in, read_all

    with surface.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, stop in zip([0, *cuts], [*cuts, len(head)], strict=True):
            client.sendall(head[start:stop])
        assert [a.status for a in answers_in(read_all(client))] == [200, 200]
