"""Nothing ambiguous crosses: what the backend gets is what one strict reader would read.

Each case is sent on one connection together with a request that must never arrive. The backend
keeps every raw byte; a case fails when it sees the hidden request, or anything of a refused one.
"""

import pytest
from tests.surface.support import OK, answers_in, read_answer, running_surface

HIDDEN = b"GET /api/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
HOST = b"Host: localhost\r\n"
POST = b"POST /api/x HTTP/1.1\r\n" + HOST
GET = b"GET /api/x HTTP/1.1\r\n" + HOST
TE = b"Transfer-Encoding: chunked\r\n"


def chunked(body: bytes) -> bytes:
    return POST + TE + b"\r\n" + body


REFUSED = {
    # Two lengths
    "cl-te": POST + b"Content-Length: 5\r\n" + TE + b"\r\n0\r\n\r\n",
    "te-cl": POST + TE + b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "te-cl-get": GET + TE + b"Content-Length: 0\r\n\r\n0\r\n\r\n",
    "cl-cl-equal": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "cl-cl-unequal": POST + b"Content-Length: 0\r\nContent-Length: 46\r\n\r\n",
    "cl-list": POST + b"Content-Length: 5, 5\r\n\r\nhello",
    "cl-list-unequal": POST + b"Content-Length: 0, 46\r\n\r\n",
    "cl-case-twice": POST + b"Content-Length: 0\r\ncontent-length: 46\r\n\r\n",
    "te-te": POST + TE + TE + b"\r\n0\r\n\r\n",
    "te-te-identity": POST + TE + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    # Codings other than exactly chunked
    "te-gzip-chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "te-chunked-gzip": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "te-chunked-chunked": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "te-identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "te-empty": POST + b"Transfer-Encoding: \r\n\r\n",
    "te-quoted": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "te-parameter": POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "te-xchunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "te-comma": POST + b"Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
    "te-vertical-tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "te-form-feed": POST + b"Transfer-Encoding: chunked\x0c\r\n\r\n0\r\n\r\n",
    "te-latin1-space": POST + b"Transfer-Encoding: \xa0chunked\r\n\r\n0\r\n\r\n",
    "te-http10": b"POST /api/x HTTP/1.0\r\n" + HOST + TE + b"\r\n0\r\n\r\n",
    # Names that are nearly Transfer-Encoding or Content-Length
    "te-space-before-colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "te-tab-before-colon": POST + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "te-leading-space": POST + b" Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "te-nul-in-name": POST + b"Transfer\x00-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "te-no-colon": POST + b"Transfer-Encoding chunked\r\n\r\n0\r\n\r\n",
    "cl-space-before-colon": POST + b"Content-Length : 46\r\n\r\n",
    "cl-leading-tab": POST + b"\tContent-Length: 46\r\n\r\n",
    "te-high-byte-name": POST + b"Transfer-Encodin\xe7: chunked\r\n\r\n0\r\n\r\n",
    "name-empty": POST + b": value\r\n\r\n",
    "name-quotes": POST + b'"Content-Length": 46\r\n\r\n',
    "name-brackets": POST + b"Content[Length]: 46\r\n\r\n",
    "name-del": POST + b"X\x7f: 1\r\n\r\n",
    # Odd lengths
    "cl-plus": POST + b"Content-Length: +5\r\n\r\nhello",
    "cl-minus": POST + b"Content-Length: -5\r\n\r\nhello",
    "cl-hex": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "cl-zeros": POST + b"Content-Length: 005\r\n\r\nhello",
    "cl-float": POST + b"Content-Length: 5.0\r\n\r\nhello",
    "cl-exponent": POST + b"Content-Length: 5e0\r\n\r\nhello",
    "cl-space-inside": POST + b"Content-Length: 4 6\r\n\r\n",
    "cl-empty": POST + b"Content-Length: \r\n\r\n",
    "cl-word": POST + b"Content-Length: five\r\n\r\nhello",
    "cl-huge": POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "cl-too-large": POST + b"Content-Length: 999999999999999\r\n\r\n",
    "cl-underscore-digits": POST + b"Content-Length: 4_6\r\n\r\n",
    "cl-arabic-digits": POST + "Content-Length: \u0664\u0666\r\n\r\n".encode(),
    "cl-quoted": POST + b'Content-Length: "5"\r\n\r\nhello',
    # Line ends
    "bare-lf-line": b"POST /api/x HTTP/1.1\n" + HOST + b"\r\n",
    "bare-lf-fields": b"POST /api/x HTTP/1.1\r\nHost: localhost\nContent-Length: 46\r\n\r\n",
    "bare-lf-end": GET + b"X: 1\n\n",
    "bare-cr-field": POST + b"X: a\rContent-Length: 46\r\n\r\n",
    "bare-cr-end": GET + b"X: 1\r\r\n\r\n",
    "bare-cr-line": b"GET /api/x HTTP/1.1\rHost: localhost\r\n\r\n",
    "cr-cr-lf": b"GET /api/x HTTP/1.1\r\r\n" + HOST + b"\r\n",
    "lf-cr": b"GET /api/x HTTP/1.1\n\r" + HOST + b"\r\n",
    "leading-crlf": b"\r\n" + GET + b"\r\n",
    "leading-lf": b"\n" + GET + b"\r\n",
    "leading-space": b" " + GET + b"\r\n",
    # Folding and NUL
    "obs-fold": POST + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "obs-fold-tab": POST + b"Content-Length:\r\n\t46\r\n\r\n",
    "obs-fold-te": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "obs-fold-first": b"GET /api/x HTTP/1.1\r\n X: 1\r\n" + HOST + b"\r\n",
    "nul-in-value": POST + b"X: a\x00b\r\n\r\n",
    "nul-in-target": b"GET /api/\x00 HTTP/1.1\r\n" + HOST + b"\r\n",
    "nul-in-length": POST + b"Content-Length: 0\x0046\r\n\r\n",
    "escape-in-value": POST + b"X: \x1b[31m\r\n\r\n",
    "backspace-in-value": POST + b"X: \x08\r\n\r\n",
    # Request lines
    "http-0.9": b"GET /api/x\r\n\r\n",
    "http-0.9-no-crlf": b"GET /api/x\n",
    "http-2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http-2.0": b"GET /api/x HTTP/2.0\r\n" + HOST + b"\r\n",
    "http-1.2": b"GET /api/x HTTP/1.2\r\n" + HOST + b"\r\n",
    "http-lower": b"GET /api/x http/1.1\r\n" + HOST + b"\r\n",
    "http-long-minor": b"GET /api/x HTTP/1.10\r\n" + HOST + b"\r\n",
    "two-spaces": b"GET  /api/x HTTP/1.1\r\n" + HOST + b"\r\n",
    "tab-separated": b"GET\t/api/x\tHTTP/1.1\r\n" + HOST + b"\r\n",
    "trailing-space": b"GET /api/x HTTP/1.1 \r\n" + HOST + b"\r\n",
    "space-in-target": b"GET /api/x y HTTP/1.1\r\n" + HOST + b"\r\n",
    "absolute-form": b"GET http://localhost/api/x HTTP/1.1\r\n" + HOST + b"\r\n",
    "absolute-other-host": b"GET http://evil.example/api/x HTTP/1.1\r\n" + HOST + b"\r\n",
    "authority-form": b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "connect-path": b"CONNECT /api/x HTTP/1.1\r\n" + HOST + b"\r\n",
    "trace": b"TRACE /api/x HTTP/1.1\r\n" + HOST + b"\r\n",
    "fragment": b"GET /api/x#y HTTP/1.1\r\n" + HOST + b"\r\n",
    "quote-in-target": b'GET /api/"x" HTTP/1.1\r\n' + HOST + b"\r\n",
    "high-byte-target": b"GET /api/\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    "asterisk-get": b"GET * HTTP/1.1\r\n" + HOST + b"\r\n",
    "method-brackets": b"G(E)T /api/x HTTP/1.1\r\n" + HOST + b"\r\n",
    "tls-hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 40,
    "target-relative": b"GET api/x HTTP/1.1\r\n" + HOST + b"\r\n",
    # Host
    "host-missing": b"GET /api/x HTTP/1.1\r\n\r\n",
    "host-twice": b"GET /api/x HTTP/1.1\r\n" + HOST + b"Host: localhost\r\n\r\n",
    "host-two-values": b"GET /api/x HTTP/1.1\r\nHost: localhost, evil\r\n\r\n",
    "host-empty": b"GET /api/x HTTP/1.1\r\nHost: \r\n\r\n",
    "host-user": b"GET /api/x HTTP/1.1\r\nHost: evil@localhost\r\n\r\n",
    "host-path": b"GET /api/x HTTP/1.1\r\nHost: localhost/evil\r\n\r\n",
    "host-port-word": b"GET /api/x HTTP/1.1\r\nHost: localhost:80evil\r\n\r\n",
    "host-other": b"GET /api/x HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "host-suffix": b"GET /api/x HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n",
    "host-space": b"GET /api/x HTTP/1.1\r\nHost: local host\r\n\r\n",
    "host-other-slot": b"GET /api/x HTTP/1.1\r\nHost: preview2.localhost\r\n\r\n",
    # Connection and upgrades
    "connection-host": GET + b"Connection: host\r\n\r\n",
    "connection-length": POST + b"Connection: content-length\r\nContent-Length: 5\r\n\r\nhello",
    "connection-forwarded": GET + b"Connection: close, X-Forwarded-For\r\n\r\n",
    "upgrade-with-body": GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Content-Length: 5\r\n\r\nhello",
    "upgrade-post": POST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "upgrade-chunked": GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + TE
    + b"\r\n0\r\n\r\n",
    "expect-other": POST + b"Expect: 200-ok\r\nContent-Length: 5\r\n\r\nhello",
    "expect-twice": POST + b"Expect: 100-continue\r\nExpect: 100-continue\r\n"
    b"Content-Length: 5\r\n\r\nhello",
    # Sizes
    "line-too-long": b"GET /api/" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "too-many-fields": GET + b"X: 1\r\n" * 120 + b"\r\n",
    "head-too-large": GET + b"X: " + b"a" * 40000 + b"\r\n\r\n",
}  # fmt: skip

# The head is good, so it may be passed on; the body is refused where it goes wrong.
BAD_BODIES = {
    "chunk-extension": chunked(b"5;a=b\r\nhello\r\n0\r\n\r\n"),
    "chunk-extension-lf": chunked(b"5;\nxx\r\nhello\r\n0\r\n\r\n"),
    "chunk-space": chunked(b"5 \r\nhello\r\n0\r\n\r\n"),
    "chunk-leading-space": chunked(b" 5\r\nhello\r\n0\r\n\r\n"),
    "chunk-tab": chunked(b"5\t\r\nhello\r\n0\r\n\r\n"),
    "chunk-plus": chunked(b"+5\r\nhello\r\n0\r\n\r\n"),
    "chunk-minus": chunked(b"-5\r\nhello\r\n0\r\n\r\n"),
    "chunk-0x": chunked(b"0x5\r\nhello\r\n0\r\n\r\n"),
    "chunk-underscore": chunked(b"1_0\r\nhello world 1234\r\n0\r\n\r\n"),
    "chunk-empty-size": chunked(b"\r\nhello\r\n0\r\n\r\n"),
    "chunk-word": chunked(b"five\r\nhello\r\n0\r\n\r\n"),
    "chunk-bare-lf": chunked(b"5\nhello\r\n0\r\n\r\n"),
    "chunk-bare-cr": chunked(b"5\rhello\r\n0\r\n\r\n"),
    "chunk-data-lf": chunked(b"5\r\nhello\n0\r\n\r\n"),
    "chunk-too-long": chunked(b"5\r\nhelloX\r\n0\r\n\r\n"),
    "chunk-too-short": chunked(b"5\r\nhell\r\n0\r\n\r\n"),
    "chunk-overflow": chunked(b"ffffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
    "chunk-wraps": chunked(b"100000000000000005\r\nhello\r\n0\r\n\r\n"),
    "chunk-nul": chunked(b"5\x00\r\nhello\r\n0\r\n\r\n"),
    "last-chunk-lf": chunked(b"5\r\nhello\r\n0\n\n"),
    "trailer-lf": chunked(b"0\r\nX: 1\nY: 2\r\n\r\n"),
    "trailer-fold": chunked(b"0\r\nX: 1\r\n 2\r\n\r\n"),
    "trailer-request": chunked(b"0\r\nGET /api/y HTTP/1.1\r\n\r\n"),
    "trailer-nul": chunked(b"0\r\nX: \x00\r\n\r\n"),
    "trailer-large": chunked(b"0\r\n" + b"X: " + b"a" * 20000 + b"\r\n\r\n"),
}


def test_the_corpus_is_large_enough():
    assert len(REFUSED) + len(BAD_BODIES) >= 100


@pytest.fixture(scope="module")
def proxied(tmp_path_factory):
    from tests.surface.support import RawBackend, WebRoot

    web = WebRoot(tmp_path_factory.mktemp("smuggling"))
    web.publish("one", {"index.html": b"x"})
    backend = RawBackend()
    with running_surface(web.root, backend.target) as surface:
        yield surface, backend
    backend.close()
    # Looked at again when everything that was on its way has arrived.
    assert b"hidden" not in backend.all


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("path", ["proxied", "static"])
def test_an_ambiguous_head_reaches_nobody(proxied, name, path):
    surface, backend = proxied
    before = len(backend.all)
    data = REFUSED[name] if path == "proxied" else REFUSED[name].replace(b"/api/x", b"/x")
    answer, rest = read_answer(surface.raw(data + HIDDEN))
    assert 400 <= answer.status < 500, answer
    assert answer.headers["connection"] == "close"
    assert rest == b"", "the connection is not read any further"
    assert backend.all[before:] == b""


@pytest.mark.parametrize("name", BAD_BODIES)
def test_an_ambiguous_body_ends_both_connections(proxied, name):
    surface, backend = proxied
    before = len(backend.received)
    answer, rest = read_answer(surface.raw(BAD_BODIES[name] + HIDDEN))
    assert answer.status == 400, answer
    assert rest == b""
    for seen in backend.received[before:]:
        body = seen.partition(b"\r\n\r\n")[2]
        assert b"HTTP/1.1" not in body
        assert not body.endswith(b"0\r\n\r\n"), "the backend must not take it for complete"


def test_good_neighbours_on_the_same_connection_are_served_before_a_bad_one(proxied):
    surface, backend = proxied
    data = surface.raw(
        GET + b"\r\n" + b"GET / HTTP/1.1\r\n" + HOST + b"\r\n" + b"BAD\r\n\r\n" + HIDDEN
    )
    assert [answer.status for answer in answers_in(data)] == [200, 200, 400]
    assert b"hidden" not in backend.all


def test_a_chunked_body_is_framed_anew(web, backend):
    web.publish("one", {"index.html": b"x"})
    with running_surface(web.root, backend.target) as surface:
        body = b"0005\r\nhello\r\nA\r\n0123456789\r\n000\r\nX-T: 1\r\nHost: evil\r\n\r\n"
        body_only = chunked(body).replace(b"Host", b"Connection: close\r\nHost", 1)
        backend.script = lambda _, seen: OK if b"X-T: 1\r\n\r\n" in seen else b""
        answer, _ = read_answer(surface.raw(body_only))
    assert answer.status == 200
    sent = backend.all.partition(b"\r\n\r\n")[2]
    assert sent == b"5\r\nhello\r\na\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n"


def test_headers_that_belong_to_the_connection_or_to_us_do_not_cross(proxied):
    surface, backend = proxied
    before = len(backend.all)
    head = (
        GET + b"Connection: close, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nTE: gzip\r\n"
        b"Proxy-Connection: x\r\nProxy: http://evil\r\nX_Forwarded_For: 6.6.6.6\r\n"
        b"Content_Length: 5\r\nX-Preview-Slot: preview-9\r\nForwarded: for=6.6.6.6\r\n"
        b"HTTP2-Settings: AAA\r\nUpgrade: h2c\r\nX-Keep: yes\r\nX-Forwarded-For: 10.0.0.1\r\n"
        b"X-Forwarded-Proto: https\r\nX-Request-Id: abc-1\r\n\r\n"
    )  # fmt: skip
    answer, _ = read_answer(surface.raw(head))
    seen = backend.all[before:].decode().lower()
    assert answer.headers["x-request-id"] == "abc-1"
    for gone in ("x-secret", "keep-alive", "\r\nte:", "proxy", "x_f", "content_", "preview-9",
                 "\r\nforwarded", "http2", "upgrade", "connection"):  # fmt: skip
        assert gone not in seen, gone
    for kept in (
        "x-keep: yes",
        "x-forwarded-for: 10.0.0.1, 127.0.0.1",
        "x-forwarded-proto: https",
        "x-request-id: abc-1",
        "host: localhost",
        "traceparent: 00-",
        "via: 1.1 ou",
    ):
        assert kept in seen, kept


def test_a_loop_through_this_surface_is_refused(proxied):
    surface, _ = proxied
    answer = surface.get("/api/x", Via="1.1 ouroboros-preview-1")
    assert (answer.status, b"proxy_loop" in answer.body) == (502, True)
