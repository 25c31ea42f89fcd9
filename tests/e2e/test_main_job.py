"""The main job: two branches side by side, each with its own page, backend and database."""

import json
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import psycopg
from tests.local.conftest import until

from ouroboros.adapters.guard import list_processes


def get(url: str, host: str = "localhost"):
    request = urllib.request.Request(url, headers={"Host": host})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def test_each_run_has_a_slot_of_its_own(published):
    slots = {run: lease.document["slot_id"] for run, lease in published.leases.items()}
    assert slots == {"demo-page": "preview-1", "demo-reservations": "preview-2"}


def test_a_publish_is_ready_only_after_all_steps_in_their_order(published):
    for done in published.publishes.values():
        document = done.document
        assert document["preview_ready"] is True
        assert [step["step"] for step in document["steps"]] == [
            "source", "frontend", "backend", "migrate", "restart", "readiness", "smoke", "switch",
        ]  # fmt: skip
        assert {step["state"] for step in document["steps"]} == {"done"}


def test_each_slot_serves_its_own_commit(published):
    for number, run in ((1, "demo-page"), (2, "demo-reservations")):
        commit = published.publishes[run].document["commit_sha"]
        surface = json.loads(get(f"http://127.0.0.1:{published.instance.web_port(number)}/health"))
        backend = json.loads(
            get(f"http://127.0.0.1:{published.instance.backend_port(number)}/health")
        )
        assert (surface["commit_sha"], surface["slot_id"]) == (commit, f"preview-{number}")
        assert (backend["commit_sha"], backend["run_id"]) == (commit, run)
        assert backend["database"] == f"app_preview_{number}"


def test_the_two_pages_differ_and_only_one_has_the_new_endpoint(published):
    ports = [published.instance.web_port(number) for number in (1, 2)]
    pages = [get(f"http://127.0.0.1:{port}/") for port in ports]
    assert pages[0] != pages[1]
    assert json.loads(get(f"http://127.0.0.1:{ports[1]}/api/reservations")) is not None
    try:
        get(f"http://127.0.0.1:{ports[0]}/api/reservations")
        raise AssertionError("the page branch has no such endpoint")
    except urllib.error.HTTPError as answer:
        assert answer.code == 404


def test_a_deep_link_is_answered_with_the_page_and_a_missing_asset_is_not(published):
    port = published.instance.web_port(1)
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/tools/12", headers={"Accept": "text/html"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
    try:
        get(f"http://127.0.0.1:{port}/assets/missing.js")
        raise AssertionError("a missing asset must be a 404")
    except urllib.error.HTTPError as answer:
        assert answer.code == 404


def test_the_publish_log_names_both_addresses_and_every_step(published):
    document = published.publishes["demo-page"].document
    log = Path(document["log"]).read_text(encoding="utf-8")
    port = published.instance.backend_port(1)
    assert "vite_api_base_url=/api" in log
    assert f"slot_backend_url=http://127.0.0.1:{port}" in log
    for title in ("Build the front end", "Migrate the slot's database", "Smoke check"):
        assert f"==> {title}" in log


def test_the_smoke_check_is_an_artifact_tagged_with_the_slot(published):
    document = published.publishes["demo-reservations"].document
    smoke = [a for a in document["artifacts"] if a["name"] == "smoke.preview-2.json"]
    assert len(smoke) == 1
    result = json.loads(Path(smoke[0]["path"]).read_text(encoding="utf-8"))
    assert result["ok"] is True
    assert result["slot_id"] == "preview-2"
    assert any("heartbeat" in check["check"] for check in result["checks"])


def test_no_secret_of_the_slot_is_in_any_artifact(published):
    secrets = [
        path.read_text().strip() for path in (published.instance.state_dir / "secrets").iterdir()
    ]
    for done in published.publishes.values():
        for artifact in done.document["artifacts"]:
            text = Path(artifact["path"]).read_text(encoding="utf-8")
            assert not [secret for secret in secrets if secret and secret in text]


def test_allocating_again_gives_the_same_slot_without_another_reset(published):
    again = published.instance.allocate("demo-page")
    assert again.document["slot_id"] == "preview-1"
    assert again.document["already_held"] is True
    assert again.document["fence"] == published.leases["demo-page"].document["fence"]


def test_a_second_publish_reuses_what_has_not_changed(published):
    again = published.instance.publish("demo-page", published.repository, "codex/run-demo-page")
    assert again.status == 0, again
    steps = {step["step"]: step for step in again.document["steps"]}
    assert steps["frontend"]["result"]["reused"] is True


def test_going_back_is_served_by_the_process_that_was_loaded_for_it(published):
    """And it is proven to serve as every other candidate is."""
    instance = published.instance
    before = backend_of_first_slot(instance)["publish_id"]
    again = instance.publish("demo-page", published.repository, "codex/run-demo-page")
    assert again.status == 0, again
    until(lambda: backend_of_first_slot(instance)["loaded_publish_id"] == before, 30)
    release = instance.state_dir / "releases" / "preview-1" / before
    until(lambda: len(pids_in(release)) == 1, 30)  # the one before has ended
    [loaded] = pids_in(release)
    back = instance.ouroboros("rollback", "--slot", "preview-1")
    assert back.status == 0, back
    found = backend_of_first_slot(instance)
    assert (found["publish_id"], found["pid"]) == (before, loaded)
    served = json.loads(get(f"http://127.0.0.1:{instance.web_port(1)}/health"))
    assert served["publish_id"] == before


def backend_of_first_slot(instance):
    return instance.ouroboros("status").document["slots"][0]["backend"]


def pids_in(directory):
    found = []
    for each in list_processes():
        with suppress(OSError):
            if Path(f"/proc/{each.pid}/cwd").readlink().is_relative_to(directory):
                found.append(each.pid)
    return found


def test_every_reset_left_a_row_with_its_provenance(published):
    listed = published.instance.ouroboros("resets", "--slot", "preview-1")
    row = min(
        (row for row in listed.document["resets"] if row["run_id"] == "demo-page"),
        key=lambda row: row["id"],
    )
    assert (row["db_name"], row["strategy"], row["seed_version"]) == ("app_preview_1", "seed", "v1")
    assert row["reset_status"] == "completed"
    assert row["details"]["fingerprint"]


def test_the_url_of_a_slot_opens_its_own_database_and_no_other(published):
    url = published.instance.ouroboros("db", "url", "--slot", "preview-1").document["database_url"]
    with psycopg.connect(url) as own:
        assert own.execute("SELECT current_database()").fetchone() == ("app_preview_1",)
    for other in ("app_preview_2", "ouroboros_control", "postgres", "template1"):
        target = psycopg.conninfo.make_conninfo(url, dbname=other)
        try:
            psycopg.connect(target, connect_timeout=3).close()
        except psycopg.OperationalError:
            continue
        raise AssertionError(f"the role of preview-1 entered {other}")
