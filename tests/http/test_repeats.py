"""Requests that come again: idempotency keys, entity tags, HEAD."""

from concurrent.futures import ThreadPoolExecutor


def test_a_repeated_post_is_answered_and_not_done_again(served):
    run = "repeats"
    served.lease(run)
    asked = {"run_id": run, "repo": "/tmp/nowhere", "ref": "main"}
    with served.bearer("run") as api:
        first = api.post("/api/publishes", json=asked, headers={"Idempotency-Key": "k1"})
        again = api.post("/api/publishes", json=asked, headers={"Idempotency-Key": "k1"})
        third = api.post("/api/publishes", json=asked, headers={"Idempotency-Key": "k2"})
    assert first.status_code == 202
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert third.json()["publish_id"] != first.json()["publish_id"]


def test_a_key_is_for_one_request_and_one_asker(served):
    run = "one-key"
    served.lease(run)
    asked = {"run_id": run, "repo": "/tmp/nowhere", "ref": "main"}
    key = {"Idempotency-Key": "shared"}
    with served.bearer("run") as one, served.bearer("run") as other:
        first = one.post("/api/publishes", json=asked, headers=key)
        reused = one.post("/api/publishes", json={**asked, "ref": "other"}, headers=key)
        foreign = other.post("/api/publishes", json=asked, headers=key)
    assert reused.json()["error"] == "idempotency_key_reused"
    assert foreign.json()["publish_id"] != first.json()["publish_id"]


def test_of_many_at_once_one_is_done(served):
    run = "at-once"
    served.lease(run)
    asked = {"run_id": run, "repo": "/tmp/nowhere", "ref": "main"}
    token = served.token("run")

    def ask(_: int):
        with served.tcp(Authorization=f"Bearer {token}") as api:
            return api.post("/api/publishes", json=asked, headers={"Idempotency-Key": "many"})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    done = {answer.json()["publish_id"] for answer in answers if answer.status_code == 202}
    others = {answer.json()["error"] for answer in answers if answer.status_code != 202}
    assert len(done) == 1
    assert others <= {"idempotency_key_in_use"}
    rows = served.sql("SELECT count(*) AS n FROM publishes WHERE run_id = %(run)s", run=run)
    assert rows[0]["n"] == 1


def test_a_failure_may_be_tried_again_with_its_key(served):
    asked = {"run_id": "later", "repo": "/tmp/nowhere", "ref": "main"}
    with served.bearer("run") as api:
        refused = api.post("/api/publishes", json=asked, headers={"Idempotency-Key": "again"})
        served.lease("later")
        done = api.post("/api/publishes", json=asked, headers={"Idempotency-Key": "again"})
    assert (refused.status_code, done.status_code) == (409, 202)


def test_a_new_tokens_text_is_not_kept_with_its_key(served):
    with served.local() as api:
        made = api.post(
            "/api/tokens",
            json={"name": "kept?", "scope": "read"},
            headers={"Idempotency-Key": "secret"},
        )
    kept = served.sql("SELECT * FROM kept_answers WHERE key = 'secret'")
    assert made.status_code == 201
    assert kept == []


def test_an_unchanged_document_is_not_sent_again(served):
    with served.tcp() as api:
        first = api.get("/api/slots")
        same = api.get("/api/slots", headers={"If-None-Match": first.headers["etag"]})
        served.lease("changes-it")
        other = api.get("/api/slots", headers={"If-None-Match": first.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert other.status_code == 200


def test_head_is_a_get_without_its_body(served):
    with served.tcp() as api:
        for path in ("/api/slots", "/", "/events"):
            assert any(told == sent for told, sent in (lengths_of(api, path) for _ in range(20)))


def lengths_of(api, path):
    """What HEAD tells, and what GET sends; a page tells times, so the two may differ at times."""
    head, got = api.head(path), api.get(path)
    assert (head.status_code, head.content) == (200, b"")
    return int(head.headers["content-length"]), len(got.content)
