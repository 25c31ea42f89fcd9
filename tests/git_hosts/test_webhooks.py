"""Webhooks: who is believed, what is kept, and what follows of it."""

import json

import pytest
from tests.git_hosts.deliveries import (
    GIT_HOSTS,
    HEAD,
    NAMES,
    SECRET,
    deliver,
    head,
    request_of,
)
from tests.http.test_access import sign_in

SHA = "a" * 40
NEWER = "b" * 40


@pytest.mark.parametrize("git_host", GIT_HOSTS)
def test_an_opened_pull_request_becomes_a_run_and_a_closed_one_is_released(hooked, git_host):
    opened = hooked.deliver(git_host, "opened", SHA)
    run_id = opened["run_id"]
    assert run_id.startswith(f"toolshed-pr-{hooked.number}-")
    assert opened["follows"] == "publish"
    row = hooked.row(run_id)
    assert (row["head_sha"], row["branch"], row["is_open"], row["from_fork"]) == (
        SHA, "ladders", True, False)  # fmt: skip
    pushed = hooked.deliver(git_host, "pushed", NEWER)
    assert (pushed["run_id"], pushed["follows"]) == (run_id, "publish")
    assert hooked.row(run_id)["head_sha"] == NEWER
    assert hooked.deliver(git_host, "closed", NEWER)["follows"] == "release"
    assert not hooked.row(run_id)["is_open"]
    assert hooked.deliver(git_host, "reopened", NEWER)["follows"] == "publish"
    newest = hooked.served.sql(
        "SELECT kind FROM events WHERE run_id = %(id)s ORDER BY id DESC LIMIT 4", id=run_id
    )
    words = [row["kind"].removeprefix("pull_request.") for row in newest]
    assert words == ["publish", "release", "publish", "publish"]


def test_the_three_git_hosts_have_runs_of_their_own(hooked):
    made = {hooked.deliver(git_host, "opened", SHA)["run_id"] for git_host in GIT_HOSTS}
    assert len(made) == 3


@pytest.mark.parametrize("git_host", GIT_HOSTS)
def test_who_does_not_know_the_secret_is_refused_and_changes_nothing(hooked, git_host):
    document = hooked.payload(git_host, "opened")
    with hooked.api() as api:
        answer = deliver(api, git_host, document, secret="another secret")
        assert (answer.status_code, answer.json()["error"]) == (401, "signature_invalid")
        # A body that was changed on its way has another signature; GitLab signs nothing.
        if git_host != "gitlab":
            body = json.dumps(document).encode()
            fields = head(git_host, body)
            changed = body.replace(HEAD.encode(), NEWER.encode())
            answer = api.post(f"/api/webhooks/{git_host}", content=changed, headers=fields)
            assert answer.status_code == 401
    assert hooked.served.sql("SELECT 1 FROM pull_requests") == []


@pytest.mark.parametrize("git_host", GIT_HOSTS)
def test_a_repository_that_is_not_there_is_answered_as_a_wrong_secret(hooked, git_host):
    text = json.dumps(hooked.payload(git_host, "opened"))
    unknown = json.loads(text.replace(NAMES[git_host], "example-org/elsewhere"))
    with hooked.api() as api:
        first = deliver(api, git_host, unknown)
        second = deliver(api, git_host, hooked.payload(git_host, "opened"), secret="another secret")
    assert first.status_code == second.status_code == 401
    assert first.json() == second.json()


@pytest.mark.parametrize("git_host", GIT_HOSTS)
def test_a_delivery_is_taken_once_by_its_id_and_by_its_body(hooked, git_host):
    document = hooked.payload(git_host, "opened")
    with hooked.api() as api:
        assert deliver(api, git_host, document, delivery="one").status_code == 202
        again = deliver(api, git_host, document, delivery="one")
        assert (again.status_code, again.json()["error"]) == (409, "delivery_replayed")
        # The id is not signed: the same body under another one is a replay, too.
        assert deliver(api, git_host, document, delivery="two").status_code == 409
        newer = hooked.payload(git_host, "pushed")
        assert deliver(api, git_host, newer, delivery="one").status_code == 409
        assert deliver(api, git_host, newer, delivery="three").status_code == 202


def test_a_replay_is_refused_also_when_it_comes_from_a_program_of_this_user(hooked):
    """GitLab's Idempotency-Key is no key of ours: whoever asks, the answer is the same."""
    document = hooked.payload("gitlab", "opened")
    with hooked.served.tcp() as api:
        statuses = [deliver(api, "gitlab", document, delivery="k").status_code for _ in range(2)]
    assert statuses == [202, 409]


@pytest.mark.parametrize("git_host", GIT_HOSTS)
def test_what_comes_too_late_changes_nothing(hooked, git_host):
    run_id = hooked.deliver(git_host, "closed", NEWER)["run_id"]
    late = hooked.deliver(git_host, "opened", SHA)
    assert late["follows"] == "outdated"
    row = hooked.row(run_id)
    assert (row["is_open"], row["head_sha"]) == (False, NEWER)


@pytest.mark.parametrize(
    ("git_host", "kind", "event"),
    [("github", "ping", "ping"), ("github", "opened", "push"), ("gitea", "opened", "push"),
     ("gitlab", "labelled", ""), ("gitlab", "opened", "Push Hook")],
)  # fmt: skip
def test_events_that_are_not_used_are_answered_and_ignored(hooked, git_host, kind, event):
    with hooked.api() as api:
        answer = deliver(api, git_host, hooked.payload(git_host, kind), event=event)
    assert (answer.status_code, answer.content) == (204, b"")
    assert hooked.served.sql("SELECT 1 FROM webhook_deliveries") == []


@pytest.mark.parametrize("action", ["labeled", "edited", "assigned", None, 7])
def test_other_actions_of_a_pull_request_are_ignored(hooked, action):
    with hooked.api() as api:
        answer = deliver(api, "github", hooked.payload("github", "opened") | {"action": action})
    assert answer.status_code == 204


def test_bytes_that_are_no_webhook_are_told_so(hooked):
    body = json.dumps(hooked.payload("github", "opened")).encode()
    fields = head("github", body)
    with hooked.api() as api:

        def ask(content: bytes, headers: dict, where: str = "github") -> tuple[int, str]:
            answer = api.post(f"/api/webhooks/{where}", content=content, headers=headers)
            return answer.status_code, answer.json()["error"]

        unsigned = {k: v for k, v in fields.items() if k != "X-Hub-Signature-256"}
        assert ask(body, unsigned) == (422, "invalid_delivery")
        assert ask(b"payload=%7B%7D", fields) == (422, "invalid_payload")
        assert ask(b"[" * 200_000, fields) == (422, "invalid_payload")
        assert ask(b"\xff\xfe{}", fields) == (422, "invalid_payload")
        assert ask(body, {**fields, "X-Hub-Signature-256": "sha1=x"}) == (401, "signature_invalid")
        assert ask(body, fields, "sourceforge") == (422, "invalid_request")
        assert ask(b" " * (1 << 20) + body, fields) == (413, "body_too_large")
        form = {**fields, "Content-Type": "application/x-www-form-urlencoded"}
        assert ask(body, form) == (415, "json_required")


@pytest.mark.parametrize("git_host", GIT_HOSTS)
def test_a_signed_payload_of_another_shape_names_every_problem(hooked, git_host):
    document = hooked.payload(git_host, "opened")
    request = request_of(document)
    request["updated_at"] = "yesterday"
    if git_host == "gitlab":
        request["last_commit"]["id"], request["source_branch"] = "main", "a\nb\ud800"
        request["iid"] = True
    else:
        request["head"]["sha"], request["head"]["ref"] = "main", "a\nb\ud800"
        request["number"] = 10**13
    with hooked.api() as api:
        answer = deliver(api, git_host, document)
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid_payload")
    assert len(answer.json()["problems"]) == 4


def test_a_commit_of_a_fork_waits_until_an_operator_approves_that_very_commit(hooked):
    for git_host in GIT_HOSTS:
        got = hooked.deliver(git_host, "fork", SHA)
        assert got["follows"] == "waits_for_approval"
    run_id = got["run_id"]
    hooked.follow()
    assert hooked.served.sql("SELECT 1 FROM slots WHERE lease_state = 'leased'") == []
    where = f"/api/pull-requests/{run_id}/approve"
    with hooked.served.bearer("run") as worker, hooked.served.local() as api:
        assert worker.post(where, json={"commit_sha": SHA}).json()["error"] == "scope_missing"
        listed = api.get("/api/pull-requests").json()
        assert [each["waits_for_approval"] for each in listed["pull_requests"]] == [True] * 3
        assert SECRET not in json.dumps(listed)
        moved = api.post(where, json={"commit_sha": NEWER})
        assert (moved.status_code, moved.json()["error"]) == (409, "commit_moved")
        assert api.post(where, json={"commit_sha": SHA}).json()["approved"]
        assert hooked.row(run_id)["approved_by"] == "local user"
        unknown = api.post("/api/pull-requests/demo-1/approve", json={"commit_sha": SHA})
        assert unknown.json()["error"] == "pull_request_not_found"
    # The next push of the stranger is not approved by that.
    document = hooked.payload("gitlab", "fork", NEWER)
    request_of(document)["action"], request_of(document)["oldrev"] = "update", SHA
    with hooked.api() as api:
        assert deliver(api, "gitlab", document).json()["follows"] == "waits_for_approval"


def test_a_fork_that_was_deleted_is_a_fork(hooked):
    document = hooked.payload("github", "opened")
    document["pull_request"]["head"]["repo"] = None
    with hooked.api() as api:
        assert deliver(api, "github", document).json()["follows"] == "waits_for_approval"


def test_the_dashboard_shows_who_waits_and_approves(hooked):
    document = hooked.payload("github", "fork", SHA)
    document["pull_request"]["head"]["ref"] = "<script>alert(1)</script>"
    document["pull_request"]["html_url"] = "javascript:alert(1)"
    with hooked.api() as api:
        run_id = deliver(api, "github", document).json()["run_id"]
    cookie, token = sign_in(hooked.served)
    host = f"ouroboros.localhost:{hooked.served.port}"
    with hooked.served.tcp(Host=host, Origin=f"http://{host}", Accept="text/html") as browser:
        browser.headers["Cookie"] = cookie.partition(";")[0]
        page = browser.get("/").text
        assert "Forks that wait for an approval" in page
        assert f"/actions/approve?run_id={run_id}" in page
        assert "<script>alert" not in page
        assert "javascript:" not in page
        asked = browser.get("/actions/approve", params={"run_id": run_id}).text
        assert SHA in asked
        form = {"run_id": run_id, "commit": SHA, "form_token": token}
        done = browser.post("/actions/approve", data=form)
        assert (done.status_code, done.headers["location"]) == (303, f"/runs/{run_id}")
        assert browser.get(f"/runs/{run_id}").status_code == 200
        assert "Forks that wait" not in browser.get("/").text
    assert hooked.row(run_id)["approved_sha"] == SHA


def test_what_a_webhook_did_is_in_the_audit_log_and_no_secret_is(hooked):
    run_id = hooked.deliver("github", "opened", SHA)["run_id"]
    with hooked.served.local() as api:
        deeds = api.get("/api/audit").json()["deeds"]
    deed = next(each for each in deeds if each["run_id"] == run_id)
    assert deed["who"] == "webhook github example-org/toolshed"
    assert deed["request"]["commit_sha"] == SHA
    kept = repr(hooked.served.sql("SELECT * FROM webhook_deliveries")) + repr(deeds)
    assert SECRET not in kept + repr(hooked.row(run_id))


def test_one_that_is_opened_again_while_it_is_released_gets_its_preview_again(hooked):
    run_id = hooked.deliver("github", "opened", SHA)["run_id"]
    hooked.served.lease(run_id)
    hooked.follow()
    at = hooked.served.at
    hooked.deliver("github", "closed", SHA)
    slot = at.settings.pool.parse(at.runs.get(run_id)["slot_id"])
    at.publishes.cancel_all(at.leases.heartbeat(slot, run_id))
    at.leases.release(slot, run_id)  # as the follower does, before it could note it
    assert hooked.deliver("github", "reopened", SHA)["follows"] == "publish"
    hooked.served.lease(run_id)
    hooked.follow()
    newest = at.publishes.list(run_id=run_id, limit=1)
    assert (newest[0]["ref"], newest[0]["state"]) == (SHA, "queued")
