"""People are told what state a slot is in; a live release always comes first."""

import re

import pytest
from tests.surface.support import INDEX, running_surface

from ouroboros.entrypoints.surface.badge import admits_own_script
from ouroboros.entrypoints.surface.media import is_fingerprinted

BUILDING = {
    "state": "building", "slot_id": "preview-1", "run_id": "run-7", "branch": "codex/<b>",
    "step": "Installing <the backend>", "step_position": 3, "step_count": 8,
}  # fmt: skip


@pytest.mark.parametrize(
    ("state", "status", "words"),
    [
        ({"state": "free"}, 404, "This slot is free"),
        (BUILDING, 503, "This preview is being built"),
        (
            {"state": "failed", "step": "migrate", "message": "boom", "log_url": "/l"},
            503,
            "migrate",
        ),
        ({"state": "expired"}, 410, "This preview has expired"),
        ({"state": "ready"}, 503, "coming up"),
        ({"state": "nonsense"}, 404, "This slot is free"),
        ({"state": 5, "step_position": "x"}, 404, "This slot is free"),
    ],
)
def test_a_state_has_a_page_for_people_and_json_for_programs(web, state, status, words):
    web.state(**state)
    with running_surface(web.root) as surface:
        answer = surface.get("/any/where", Accept="text/html")
        assert (answer.status, answer.headers["cache-control"]) == (status, "no-store")
        assert words in answer.body.decode()
        assert int(answer.headers["refresh"]) > 0
        assert b"<script" not in answer.body
        assert not re.search(rb"https?://", answer.body), "nothing is loaded from elsewhere"
        answer = surface.get("/x.js", Accept="*/*", Sec_Fetch_Mode="no-cors")
        assert (answer.status, answer.headers["content-type"]) == (
            status, "application/problem+json"
        )  # fmt: skip


def test_what_comes_from_a_branch_is_text_on_the_page(web):
    web.state(**BUILDING, message="<script>alert(1)</script>", log_url="javascript:alert(1)")
    with running_surface(web.root) as surface:
        body = surface.get("/", Accept="text/html").body
        assert b"Installing &lt;the backend&gt;" in body
        assert b"codex/&lt;b&gt;" in body
        web.state(state="failed", message="<script>alert(1)</script>", log_url="javascript:x")
        body = surface.get("/", Accept="text/html").body
        assert b"<script>" not in body
        assert b"javascript:" not in body


def test_the_page_follows_the_step_and_gives_way_to_the_release(web):
    web.state(**BUILDING)
    with running_surface(web.root) as surface:
        assert b"Step 3 of 8" in surface.get("/", Accept="text/html").body
        web.state(**{**BUILDING, "step": "Migrating", "step_position": 4})
        assert b"Step 4 of 8" in surface.get("/", Accept="text/html").body
        web.publish("one", {"index.html": INDEX})
        assert surface.get("/").body == INDEX
        web.state(**BUILDING)
        assert surface.get("/").body == INDEX


def test_the_badge_is_in_documents_only_when_the_release_asks_for_it(web):
    files = {"index.html": INDEX, "index.html.gz": b"old", "part.html": b"<p>no head</p>"}
    web.publish("one", files, badge=True, branch='codex/"><script>', seed_version="v1")
    with running_surface(web.root) as surface:
        answer = surface.get("/")
        assert b'<script defer src="/__preview/badge.js"' in answer.body
        assert b'data-branch="codex/&quot;&gt;&lt;script&gt;"' in answer.body
        assert int(answer.headers["content-length"]) == len(answer.body)
        tag = answer.headers["etag"]
        assert surface.get("/", If_None_Match=tag).status == 304
        packed = surface.get("/", Accept_Encoding="gzip")
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.body != b"old"
        assert surface.get("/part.html").body == b"<p>no head</p>"
        script = surface.get("/__preview/badge.js")
        assert script.headers["content-type"].startswith("text/javascript")
        assert b"attachShadow" in script.body
        web.publish("two", files, badge=False)
        assert surface.get("/").body == INDEX
        assert surface.get("/").headers["etag"] != tag


@pytest.mark.parametrize(
    ("policy", "admits"),
    [
        ("default-src 'self'", True),
        ("default-src 'none'; script-src 'self'", True),
        ("default-src 'self'; script-src 'nonce-abc'", False),
        ("script-src 'self' 'strict-dynamic' 'nonce-x'", False),
        ("default-src 'none'", False),
        ("img-src *", True),
        ("sandbox", False),
        ("default-src 'self'; script-src-elem https://cdn.example", False),
    ],
)
def test_a_page_whose_policy_refuses_the_badge_is_left_alone(web, policy, admits):
    assert admits_own_script(policy) is admits
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'.encode()
    document = INDEX.replace(b"<title>", meta + b"<title>")
    web.publish("one", {"index.html": document}, badge=True)
    web.write(
        "two", {"index.html": INDEX}, badge=True,
        headers=[{"for": "/*", "values": {"Content-Security-Policy": policy}}],
    )  # fmt: skip
    with running_surface(web.root) as surface:
        assert (b"badge.js" in surface.get("/").body) is admits
        web.switch("two")
        assert (b"badge.js" in surface.get("/").body) is admits


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("assets/index-BxK2f9aQ.js", True),
        ("assets/index-DiwrgTda.js", False),  # a letter-only hash costs one 304
        ("static/js/main.8a3f2b1c.js", True),
        ("app.5f6a8b9c0d1e2f3a4b5c.css", True),
        ("assets/my-chart-C0ffEe12.js", True),
        ("jquery-migrate-documentation.js", False),
        ("report-20240101.pdf", False),
        ("x-DateTime.js", False),
        ("chart-version2.js", False),
        ("photo_deadbeef.png", False),
        ("index.html", False),
    ],
)
def test_a_name_counts_as_fingerprinted_only_when_it_looks_random(name, expected):
    assert is_fingerprinted(name) is expected
