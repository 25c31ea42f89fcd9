"""Files of a release are answered as RFC 9110 and browsers want them."""

import gzip
import os

import pytest
from tests.surface.support import INDEX, WebRoot, answers_in, open_descriptors, running_surface

APP = b"console.log('app');" * 50
FILES = {
    "index.html": INDEX,
    "404.html": b"<h1>own 404</h1>",
    "about.html": b"<h1>about</h1>",
    "docs/index.html": b"<h1>docs</h1>",
    "assets/app-BxK2f9aQ.js": APP,
    "assets/app-BxK2f9aQ.js.br": b"brotli bytes",
    "assets/app-BxK2f9aQ.js.gz": gzip.compress(APP),
    "plain.css": b"body{}",
    "caf\u00e9 menu.txt": b"with a space",
    "big.mp4": bytes(range(256)) * 4096,
    ".env": b"SECRET=1",
    ".well-known/security.txt": b"Contact: x",
    "data.json": b"{}",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    shared = WebRoot(tmp_path_factory.mktemp("static"))
    shared.publish("one", FILES)
    with running_surface(shared.root) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/assets/app-BxK2f9aQ.js", "text/javascript; charset=utf-8"),
        ("/plain.css", "text/css; charset=utf-8"),
        ("/data.json", "application/json"),
        ("/big.mp4", "video/mp4"),
        ("/about", "text/html; charset=utf-8"),
        ("/docs/", "text/html; charset=utf-8"),
        ("/caf%C3%A9%20menu.txt", "text/plain; charset=utf-8"),
        ("/.well-known/security.txt", "text/plain; charset=utf-8"),
    ],
)
def test_a_file_has_the_type_that_browsers_want(site, path, kind):
    answer = site.get(path)
    assert (answer.status, answer.headers["content-type"]) == (200, kind)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "last-modified" not in answer.headers
    assert answer.headers["etag"].startswith('"')


def test_only_fingerprinted_names_may_be_kept_for_ever(site):
    assert "immutable" in site.get("/assets/app-BxK2f9aQ.js").headers["cache-control"]
    assert site.get("/plain.css").headers["cache-control"] == "no-cache"
    assert site.get("/").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("br, gzip", "br"),
        ("gzip", "gzip"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("br;q=0, gzip;q=0", None),
        ("*", "br"),
        ("*;q=0.1, identity", None),
        ("identity", None),
        ("", None),
        ("BR", "br"),
        ("zstd", None),
        ("gzip;q=nonsense", None),
    ],
)
def test_the_coding_is_the_best_that_the_client_takes(site, accepted, coding):
    answer = site.get("/assets/app-BxK2f9aQ.js", Accept_Encoding=accepted)
    assert answer.headers.get("content-encoding") == coding
    assert answer.headers["vary"] == "Accept-Encoding"


def test_two_codings_have_two_tags_and_each_is_confirmed_alone(site):
    path = "/assets/app-BxK2f9aQ.js"
    plain = site.get(path).headers["etag"]
    packed = site.get(path, Accept_Encoding="gzip").headers["etag"]
    assert plain != packed
    assert site.get(path, If_None_Match=plain).status == 304
    assert site.get(path, If_None_Match=packed).status == 200
    assert site.get(path, If_None_Match=f'"x", W/{packed}', Accept_Encoding="gzip").status == 304
    assert site.get(path, If_None_Match="*").status == 304
    assert site.get(path, If_Match='"other"').status == 412


def test_a_304_has_the_tag_and_no_body(site):
    tag = site.get("/plain.css").headers["etag"]
    answer = site.get("/plain.css", If_None_Match=tag)
    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("wanted", "status", "span"),
    [
        ("bytes=0-9", 206, (0, 10)),
        ("bytes=-5", 206, (1048571, 1048576)),
        ("bytes=1048570-", 206, (1048570, 1048576)),
        ("bytes=0-99999999", 206, (0, 1048576)),
        ("bytes=1048576-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=5-2", 200, None),
        ("bytes=a-b", 200, None),
        ("lines=0-9", 200, None),
        ("bytes=0-9,5-20", 200, None),
        ("bytes=" + ",".join(f"{n}-{n}" for n in range(0, 60, 2)), 200, None),
    ],
)
def test_a_range_is_answered_exactly_or_ignored(site, wanted, status, span):
    answer = site.get("/big.mp4", Range=wanted)
    assert answer.status == status
    if span:
        assert answer.body == FILES["big.mp4"][span[0] : span[1]]
        assert answer.headers["content-range"] == f"bytes {span[0]}-{span[1] - 1}/1048576"
    elif status == 416:
        assert answer.headers["content-range"] == "bytes */1048576"
    else:
        assert answer.body == FILES["big.mp4"]


def test_several_ranges_come_as_multipart(site):
    answer = site.get("/big.mp4", Range="bytes=0-1, 100-102")
    kind = answer.headers["content-type"]
    assert answer.status == 206
    assert kind.startswith("multipart/byteranges; boundary=")
    mark = kind.partition("boundary=")[2].encode()
    parts = answer.body.split(b"--" + mark)
    assert parts[1].endswith(b"Content-Range: bytes 0-1/1048576\r\n\r\n\x00\x01\r\n")
    assert parts[2].endswith(b"bytes 100-102/1048576\r\n\r\ndef\r\n")
    assert parts[3] == b"--\r\n"


def test_if_range_gives_the_whole_file_when_it_has_changed(site):
    tag = site.get("/big.mp4").headers["etag"]
    assert site.get("/big.mp4", Range="bytes=0-1", If_Range=tag).status == 206
    assert site.get("/big.mp4", Range="bytes=0-1", If_Range='"old"').status == 200
    late = "Mon, 23 Nov 2099 00:00:00 GMT"
    assert site.get("/big.mp4", Range="bytes=0-1", If_Range=late).status == 200


def test_head_says_what_get_would_and_sends_no_body(site):
    for path in ("/", "/big.mp4", "/none.png"):
        got, head = site.get(path), site.get(path, method="HEAD")
        assert (head.status, head.body) == (got.status, b"")
        assert head.headers["content-length"] == got.headers["content-length"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/tools/12", {"Accept": "text/html"}, 200),
        ("/tools/12", {"Sec-Fetch-Mode": "navigate"}, 200),
        ("/tools/12", {}, 200),
        ("/tools/12", {"Accept": "*/*"}, 200),
        ("/users/john.doe", {"Accept": "text/html"}, 200),
        ("/tools/12", {"Accept": "application/json"}, 404),
        ("/tools/12", {"Sec-Fetch-Mode": "cors", "Accept": "*/*"}, 404),
        ("/assets/gone-AAAA1bBb.js", {"Accept": "*/*"}, 404),
        ("/missing.png", {"Accept": "text/html"}, 404),
        ("/missing.css", {"Sec-Fetch-Mode": "no-cors"}, 404),
    ],
)
def test_only_a_navigation_falls_back_to_the_application(site, path, headers, status):
    answer = site.get(path, **headers)
    assert answer.status == status
    assert (answer.body == INDEX) == (status == 200)


def test_without_a_single_page_application_a_missing_page_is_the_own_404(web):
    web.publish("one", FILES, spa=False)
    with running_surface(web.root) as site:
        answer = site.get("/tools/12", Accept="text/html")
        assert (answer.status, answer.body) == (404, FILES["404.html"])


def test_a_directory_is_reached_with_its_slash(site):
    answer = site.get("/docs?a=1")
    assert (answer.status, answer.headers["location"]) == (301, "/docs/?a=1")


TRAVERSALS = [
    "/../secret", "/..%2fsecret", "/%2e%2e/secret", "/%2e%2e%2fsecret", "/..%5csecret",
    "/..\\secret", "/assets/../../secret", "/./secret", "//secret", "/assets//../secret",
    "/%00secret", "/secret%00.html", "/.env", "/%2eenv", "/.ENV", "/assets/..;/secret",
    "/link", "/linked/inside.txt", "/%c0%ae%c0%ae/secret", "/..%c0%afsecret", "/....//secret",
    "/web/../../../release.json", "/../release.json", "/%2e/%2e%2e/release.json",
]  # fmt: skip


@pytest.mark.parametrize("path", TRAVERSALS)
def test_nothing_outside_the_release_is_served(web, path):
    outside = web.base / "secret"
    outside.write_text("TOP SECRET")
    (web.base / "folder").mkdir()
    (web.base / "folder" / "inside.txt").write_text("TOP SECRET")
    directory = web.write("one", FILES, spa=False)
    (directory / "web" / "link").symlink_to(outside)
    (directory / "web" / "linked").symlink_to(web.base / "folder")
    (directory / "secret").write_text("TOP SECRET")
    web.switch("one")
    with running_surface(web.root) as site:
        answer = site.get(path, Accept="text/html")
        assert answer.status in (400, 404)
        assert b"SECRET" not in answer.body
        assert b"commit_sha" not in answer.body


def test_a_fifo_or_an_unreadable_name_in_a_release_does_not_hold_the_surface(web):
    directory = web.write("one", FILES)
    os.mkfifo(directory / "web" / "pipe.js")
    (directory / "web" / os.fsdecode(b"\xff\xfe.txt")).write_text("odd name")
    web.switch("one")
    with running_surface(web.root) as site:
        assert site.get("/").status == 200
        assert site.get("/pipe.js").status == 404
        assert site.get("/%ff%fe.txt").body == b"odd name"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "BREW"])
def test_files_are_not_written(site, method):
    answer = site.get("/", method=method)
    assert answer.status == 405
    assert "GET" in answer.headers["allow"]


def test_pipelined_requests_are_answered_in_order(site):
    heads = [
        f"GET /{name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        for name in ("plain.css", "big.mp4", "data.json", "none.js") * 5
    ]
    heads.append(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answers = answers_in(site.raw(b"".join(heads), timeout=20))
    assert len(answers) == 21
    assert [len(a.body) for a in answers[:3]] == [6, 1048576, 2]
    assert answers[-1].body == INDEX


def test_thousands_of_pipelined_requests_do_not_nest(site):
    one = b"GET /big.mp4 HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-0\r\n\r\n"
    with_body = b"GET /plain.css HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx"
    last = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answers = answers_in(site.raw(one * 2000 + with_body * 2000 + last, timeout=20))
    assert len(answers) == 4001


def test_redirects_and_header_rules_work_as_at_netlify_and_vercel(web):
    web.publish(
        "one", FILES,
        redirects=[
            {"from": "/old/*", "to": "/new/:splat", "status": 302},
            {"from": "/u/:id/posts/:post", "to": "/posts/:post?by=:id"},
            {"source": "/vercel", "destination": "https://example.com/x", "permanent": True},
            {"from": "/about", "to": "/shadowed"},
            {"from": "/plain.css", "to": "/forced", "force": True},
            {"from": "/rewritten/*", "to": "/about.html", "status": 200},
            {"from": "/r/*", "to": "/:splat"},
            {"from": "/bad", "to": "/x\r\nSet-Cookie: a=b"},
        ],
        headers=[
            {"for": "/*", "values": {"X-All": "1", "Content-Length": "5", "Bad\r\n": "x"}},
            {"source": "/assets/*", "headers": [{"key": "Cache-Control", "value": "max-age=1"}]},
        ],
    )  # fmt: skip
    with running_surface(web.root) as site:
        moved = [
            ("/old/a/b?q=1", 302, "/new/a/b?q=1"),
            ("/old", 302, "/new/"),
            ("/u/7/posts/9", 301, "/posts/9?by=7"),
            ("/vercel", 308, "https://example.com/x"),
            ("/plain.css", 301, "/forced"),
            ("/r/evil.example/x", 301, "/evil.example/x"),
            ("/r//evil.example/x", 404, None),
        ]
        for path, status, location in moved:
            answer = site.get(path)
            assert (answer.status, answer.headers.get("location")) == (status, location), path
        assert site.get("/about").status == 200
        assert site.get("/rewritten/x").body == FILES["about.html"]
        assert site.get("/").headers["x-all"] == "1"
        assert site.get("/assets/app-BxK2f9aQ.js").headers["cache-control"] == "max-age=1"
        assert "set-cookie" not in site.get("/bad").headers


def test_more_files_than_are_kept_open_are_still_served_and_checked(web, monkeypatch):
    monkeypatch.setattr("ouroboros.entrypoints.surface.release.OPEN_FILES", 1)
    monkeypatch.setattr("ouroboros.entrypoints.surface.release.IN_MEMORY_FILE_BYTES", 10)
    directory = web.publish("one", {"index.html": INDEX, "a/b.bin": b"b" * 99, "c.bin": b"c" * 99})
    with running_surface(web.root) as site:
        counts = []
        for _ in range(10):
            assert site.get("/a/b.bin").body == b"b" * 99
            assert site.get("/c.bin").body == b"c" * 99
            counts.append(open_descriptors())
        assert max(counts[1:]) <= counts[0] + 1
        target = directory / "web" / "c.bin"
        target.unlink()
        target.symlink_to("/etc/passwd")
        assert site.get("/c.bin").status == 404
