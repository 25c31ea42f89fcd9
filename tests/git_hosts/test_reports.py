"""What a git host is told: a status of the commit, and one comment that is edited in place.

The server that is told judges every request by the git hosts' published descriptions; each test
ends by asking it what was wrong.
"""

import pytest
from tests.git_hosts.deliveries import GIT_HOSTS, deliver

from ouroboros.adapters.git_host_api import HttpGitHostApi
from ouroboros.bootstrap import compose_follower
from ouroboros.domain.publish import PublishState

SHA = "a" * 40
NEWER = "b" * 40
SUCCESS = "success"
BUSY = {"github": "pending", "gitea": "pending", "gitlab": "running"}
FAILURE = {"github": "failure", "gitea": "failure", "gitlab": "failed"}


@pytest.fixture(autouse=True)
def _told_as_described(hooked):
    yield
    assert hooked.git_host.wrong == []


def opened(hooked, git_host: str = "github", *, leased: bool = True) -> str:
    run_id = hooked.deliver(git_host, "opened", SHA)["run_id"]
    if leased:
        hooked.served.lease(run_id)
    return run_id


def end_publish(hooked, state: PublishState) -> str:
    """End the publish that is queued, as the worker would."""
    at = hooked.served.at
    publish = at.publishes.claim()
    assert publish is not None
    if state is PublishState.READY:
        at.publishes.set_commit(publish, publish.ref)
        at.publishes.finish_ready(publish)
    else:
        at.publishes.finish_otherwise(publish, state, "frontend", {"error": "build_failed"})
    return publish.publish_id


@pytest.mark.parametrize("git_host", GIT_HOSTS)
def test_one_comment_goes_along_from_building_to_ready_to_released(hooked, git_host):
    run_id = opened(hooked, git_host)
    hooked.follow()
    hooked.report()
    comment = hooked.comment()
    assert "**Preview: building**" in comment
    assert hooked.git_host.states(SHA) == [BUSY[git_host]]
    end_publish(hooked, PublishState.READY)
    hooked.report()
    hooked.report()
    comment = hooked.comment()
    assert "**Preview: ready**" in comment
    assert f"| Commit | `{SHA}` |" in comment
    assert "http://preview" in comment
    assert "| Lease | until 20" in comment
    # Nothing was reset here, so there is nothing to compare with, and that is said.
    assert "| Changed since the reset | not known (never_reset) |" in comment
    assert hooked.git_host.states(SHA) == [BUSY[git_host], SUCCESS]
    assert hooked.git_host.statuses[-1][1]["target_url"].startswith("http://preview")
    hooked.deliver(git_host, "closed", SHA)
    hooked.follow()
    hooked.report()
    comment = hooked.comment()
    assert "**Preview: released**" in comment
    assert hooked.served.at.runs.get(run_id)["slot_id"] is None
    assert hooked.git_host.asked.count(f"{git_host} create") == 1
    assert hooked.row(run_id)["report_settled"]


def test_a_release_during_a_report_is_told_after_it(hooked, monkeypatch):
    run_id = opened(hooked)
    hooked.follow()
    end_publish(hooked, PublishState.READY)
    sending = HttpGitHostApi.send

    def send(api, *asked):
        monkeypatch.undo()
        hooked.deliver("github", "closed", SHA)
        hooked.follow()
        return sending(api, *asked)

    monkeypatch.setattr(HttpGitHostApi, "send", send)
    hooked.report()
    assert hooked.row(run_id)["released"]
    hooked.report()
    assert "**Preview: released**" in hooked.comment()
    assert hooked.row(run_id)["report_settled"]


def test_nothing_is_sent_twice(hooked):
    opened(hooked, "gitlab")
    hooked.follow()
    hooked.report()
    asked = list(hooked.git_host.asked)
    hooked.served.sql("UPDATE pull_requests SET reported_event = 0")
    hooked.report()
    assert hooked.git_host.asked == asked


def test_a_comment_is_found_again_when_its_writer_died_before_noting_it(hooked):
    run_id = opened(hooked)
    hooked.report()
    hooked.served.sql("UPDATE pull_requests SET comment_id = NULL, sent_comment = NULL")
    hooked.follow()
    end_publish(hooked, PublishState.FAILED)
    hooked.report()
    comment = hooked.comment()
    assert "| State | failed (step frontend) |" in comment
    assert hooked.git_host.states(SHA)[-1] == "failure"
    assert hooked.row(run_id)["comment_id"] == "1000"


def test_a_comment_that_somebody_deleted_is_written_anew(hooked):
    opened(hooked)
    hooked.report()
    hooked.git_host.comments.clear()
    hooked.follow()
    end_publish(hooked, PublishState.READY)
    hooked.report()
    assert "**Preview: ready**" in hooked.comment()


@pytest.mark.parametrize("git_host", GIT_HOSTS)
def test_a_git_host_that_fails_is_told_later_and_nothing_else_suffers(hooked, git_host):
    run_id = opened(hooked, git_host)
    hooked.git_host.answers += [(503, {}), (429, {"Retry-After": "1200"})]
    hooked.follow()
    publish_id = end_publish(hooked, PublishState.READY)
    hooked.report()
    assert hooked.row(run_id)["report_problem"]["message"].endswith("503: refused by the test")
    hooked.report()
    row = hooked.row(run_id)
    assert row["report_attempts"] == 2, "two answers, two failures in a row"
    assert row["report_problem"]["error"] == "git_host_refused"
    assert "429" in row["report_problem"]["message"]
    waits = hooked.served.sql(
        "SELECT extract(epoch FROM report_after - clock_timestamp()) AS s FROM pull_requests"
    )
    assert 1100 < waits[0]["s"] <= 1200
    told = hooked.served.sql(
        "SELECT count(*) AS n FROM events WHERE run_id = %(id)s AND kind = 'report.failed'",
        id=run_id,
    )
    assert told[0]["n"] == 1
    assert hooked.served.at.publishes.get(publish_id)["state"] == "ready"
    hooked.report()
    assert "**Preview: ready**" in hooked.comment()
    assert hooked.row(run_id)["report_problem"] is None
    shown = repr(row) + repr(hooked.served.sql("SELECT * FROM events"))
    assert "a token of the tests" not in shown


def test_a_redirect_is_not_followed_with_the_token(hooked):
    run_id = opened(hooked)
    hooked.git_host.answers += [(307, {"Location": "https://elsewhere.example.com/"})]
    hooked.report()
    assert hooked.git_host.asked == []
    hooked.report()
    assert "**Preview: building**" in hooked.comment()
    told = hooked.served.sql("SELECT details FROM events WHERE kind = 'report.failed' "
                             "AND run_id = %(id)s", id=run_id)  # fmt: skip
    assert "307" in told[0]["details"]["message"]


def test_a_run_that_waits_tells_its_place(hooked):
    for slot in hooked.served.at.settings.pool:
        hooked.served.lease(f"other-{slot.number}")
    hooked.served.at.leases.enqueue("before", "codex/run-before")
    opened(hooked, leased=False)
    hooked.follow()
    hooked.report()
    comment = hooked.comment()
    assert "**Preview: waiting for a slot**" in comment
    assert "| Place in the queue | 2 |" in comment
    hooked.served.at.leases.leave_queue("before")
    hooked.report()
    assert "| Place in the queue | 1 |" in hooked.comment()
    assert hooked.git_host.states(SHA) == ["pending"]


def test_a_fork_is_told_what_it_waits_for(hooked):
    run_id = hooked.deliver("gitea", "fork", SHA)["run_id"]
    hooked.report()
    comment = hooked.comment()
    assert f"ouroboros hooks approve {run_id} --commit {SHA}" in comment
    assert hooked.git_host.states(SHA) == ["pending"]
    hooked.served.at.pull_requests.approve(run_id, SHA, "an operator")
    hooked.served.lease(run_id)
    hooked.follow()
    hooked.report()
    assert "**Preview: building**" in hooked.comment()
    pushed = hooked.payload("gitea", "fork", NEWER) | {"action": "synchronized"}
    with hooked.api() as api:
        assert deliver(api, "gitea", pushed).json()["follows"] == "waits_for_approval"
    hooked.follow()
    hooked.report()
    assert f"--commit {NEWER}" in hooked.comment()
    newest = hooked.served.at.publishes.list(run_id=run_id)
    assert [each["ref"] for each in newest] == [SHA]


def test_a_lease_that_ended_is_told(hooked):
    run_id = opened(hooked)
    hooked.follow()
    end_publish(hooked, PublishState.READY)
    slot_id = hooked.served.at.runs.get(run_id)["slot_id"]
    at = hooked.served.at
    at.leases.release(at.settings.pool.parse(slot_id), run_id)
    hooked.report()
    comment = hooked.comment()
    assert "**Preview: expired**" in comment
    assert "closing and reopening" in comment


def test_a_commit_that_failed_stays_failed_when_its_lease_has_ended(hooked):
    run_id = opened(hooked)
    hooked.follow()
    end_publish(hooked, PublishState.FAILED)
    slot_id = hooked.served.at.runs.get(run_id)["slot_id"]
    at = hooked.served.at
    at.leases.release(at.settings.pool.parse(slot_id), run_id)
    hooked.report()
    assert "| State | failed (step frontend) |" in hooked.comment()
    assert hooked.git_host.states(SHA)[-1] == "failure"


def test_a_newer_push_supersedes_and_the_older_preview_is_said_to_be_the_older(hooked):
    run_id = opened(hooked)
    hooked.follow()
    first = end_publish(hooked, PublishState.READY)
    hooked.deliver("github", "pushed", NEWER)
    hooked.follow()
    hooked.report()
    comment = hooked.comment()
    assert f"| Commit | `{NEWER}` |" in comment
    assert f"(still `{SHA[:10]}`)" in comment
    second, older = hooked.served.at.publishes.list(run_id=run_id)
    assert (older["publish_id"], second["ref"], second["state"]) == (first, NEWER, "queued")
    third = "c" * 40
    hooked.served.sql("DELETE FROM webhook_deliveries")
    hooked.deliver("github", "pushed", third)
    hooked.follow()
    assert hooked.served.at.publishes.get(second["publish_id"])["state"] == "superseded"


def test_who_is_taken_out_of_the_queue_does_not_enter_it_again_by_himself(hooked):
    for slot in hooked.served.at.settings.pool:
        hooked.served.lease(f"other-{slot.number}")
    run_id = opened(hooked, leased=False)
    hooked.follow()
    assert hooked.served.at.runs.get(run_id)["state"] == "waiting"
    assert hooked.served.at.leases.leave_queue(run_id)
    hooked.follow()
    assert hooked.served.at.runs.get(run_id)["state"] == "ended"
    assert hooked.row(run_id)["problem"]["error"] == "left_queue"
    hooked.report()
    assert "failed (left_queue)" in hooked.comment()
    hooked.deliver("github", "pushed", NEWER)
    hooked.follow()
    assert hooked.served.at.runs.get(run_id)["state"] == "waiting"
    hooked.deliver("github", "closed", NEWER)
    hooked.follow()
    assert hooked.served.at.runs.get(run_id)["state"] == "ended"


def test_a_state_that_is_not_there_is_told_and_not_tried_for_ever(hooked):
    seed = hooked.served.at.settings.seeds_dir / "v1.sql"
    moved = seed.rename(seed.with_name("v2.sql"))
    try:
        run_id = opened(hooked, leased=False)
        hooked.follow()
    finally:
        moved.rename(seed)
    assert hooked.row(run_id)["problem"]["error"] == "seed_not_found"
    hooked.report()
    assert hooked.git_host.states(SHA) == ["failure"]


def test_what_passes_is_tried_again(hooked):
    """No supervisor runs here: a slot that is free cannot be entered now, but later."""
    run_id = opened(hooked, leased=False)
    with pytest.raises(Exception, match="supervisor"):
        compose_follower(hooked.served.at).follow_one()
    row = hooked.row(run_id)
    assert (row["problem"], row["done_sha"], row["follow_attempts"]) == (None, None, 1)
