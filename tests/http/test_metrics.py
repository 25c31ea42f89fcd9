"""`GET /metrics` tells what the tables hold, and dashboard and alerts ask for nothing else."""

import json
import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ouroboros.domain.errors import Unhealthy

INFRA = Path(__file__).resolve().parents[2] / "infra"
RULES = INFRA / "prometheus" / "ouroboros.rules.yml"
_WORDS = re.compile(r"\bouroboros_[a-z_]+")
PROMTOOL = shutil.which("promtool") or shutil.which(
    "promtool", path=str(INFRA.parent / ".venv" / "bin")
)


def told(served) -> dict[str, float]:
    """Every sample, by its name and labels as they are written."""
    with served.local() as api:
        answer = api.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def difference(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {key: value - before.get(key, 0) for key, value in after.items()}


def ended_publish(served, run_id: str, slot: str, took_s: float) -> None:
    publish_id = served.at.publishes.queue(run_id, "/tmp/nowhere", "main")
    served.sql(
        "UPDATE publishes SET state = 'failed', started_at = queued_at,"
        " finished_at = queued_at + make_interval(secs => %(s)s) WHERE publish_id = %(id)s",
        id=publish_id, s=took_s,
    )  # fmt: skip
    served.sql(
        "INSERT INTO publish_steps (publish_id, step, position, state, fence, started_at,"
        " finished_at) SELECT publish_id, 'frontend', 2, 'failed', fence, queued_at, finished_at"
        " FROM publishes WHERE publish_id = %(id)s", id=publish_id,
    )  # fmt: skip


def reset(served, slot: str, path: str, took_ms: float) -> None:
    served.sql(
        "INSERT INTO preview_db_resets (slot_id, db_name, strategy, seed_version, reset_status,"
        " reset_completed_at, details) VALUES (%(slot)s, 'x', 'seed', 'v1', 'completed',"
        " clock_timestamp(), jsonb_build_object('path', %(path)s::text,"
        " 'duration_ms', %(ms)s::float))", slot=slot, path=path, ms=took_ms,
    )  # fmt: skip


def test_slots_leases_publishes_and_resets_are_counted_from_the_tables(served):
    before = told(served)
    slot = served.lease("metrics-1")
    ended_publish(served, "metrics-1", slot, 7.0)
    ended_publish(served, "metrics-1", slot, 70.0)
    reset(served, slot, "standby", 20.0)
    served.at.leases.tell_alive()
    now = told(served)
    new = difference(before, now)
    assert new["ouroboros_slots{state=free}"] == -1
    assert new["ouroboros_slots{state=failed}"] == 1
    assert new["ouroboros_leases_total{what=granted}"] == 1
    assert new["ouroboros_events_total{kind=lease.granted}"] == 1
    assert new["ouroboros_publishes_total{state=failed}"] == 2
    took = "ouroboros_publish_seconds"
    assert new[took + "_bucket{le=5.0,state=failed}"] == 0
    assert new[took + "_bucket{le=10.0,state=failed}"] == 1
    assert new[took + "_bucket{le=+Inf,state=failed}"] == new[took + "_count{state=failed}"] == 2
    assert new[took + "_sum{state=failed}"] == pytest.approx(77.0)
    step = "ouroboros_publish_step_seconds_count{state=failed,step=frontend}"
    assert new[step] == 2
    assert new["ouroboros_resets_total{status=completed,strategy=seed}"] == 1
    assert new["ouroboros_reset_seconds_bucket{le=0.01,path=standby}"] == 0
    assert new["ouroboros_reset_seconds_bucket{le=0.025,path=standby}"] == 1
    assert 0 <= now["ouroboros_worker_heartbeat_age_seconds{host=local}"] < 60
    assert now["ouroboros_disk_free_bytes{}"] > 0
    assert now["ouroboros_part_up{part=control}"] == now["ouroboros_part_up{part=databases}"] == 1


def test_the_queue_is_told_with_its_length_and_its_age(served):
    for run_id in ("metrics-a", "metrics-b", "metrics-c"):
        served.lease(run_id)
    served.at.leases.enqueue("metrics-d", "codex/run-metrics-d")
    served.sql(
        "UPDATE runs SET waiting_since = clock_timestamp() - interval '90 s'"
        " WHERE run_id = 'metrics-d'"
    )
    now = told(served)
    assert now["ouroboros_queue_length{}"] == 1
    assert 90 <= now["ouroboros_queue_oldest_seconds{}"] < 120


def test_events_are_counted_once_also_when_they_are_old(served):
    """Old events are counted once a process, and the count goes on from there."""
    kind = "metrics.test"
    append = (
        "INSERT INTO events (kind, at) VALUES (%(kind)s, clock_timestamp() - %(ago)s::interval)"
    )
    for ago in ("1 day", "1 hour"):
        served.sql(append, kind=kind, ago=ago)
    series = f"ouroboros_events_total{{kind={kind}}}"
    assert told(served)[series] == told(served)[series] == 2
    served.sql(append, kind=kind, ago="1 s")
    assert told(served)[series] == told(served)[series] == 3


def test_requests_are_counted_by_route_and_not_by_path(served):
    before = told(served)
    with served.local() as api:
        assert api.get("/api/runs/nobody-has-this-run").status_code == 404
        assert api.get("/api/nothing-here-7f").status_code == 404
    with served.tcp(Authorization="Bearer nonsense") as api:
        assert api.get("/api/slots").status_code == 401
    now = told(served)
    new = difference(before, now)
    counted = "ouroboros_http_requests_total"
    assert new[f"{counted}{{method=GET,route=/api/runs/{{run_id}},status=404}}"] == 1
    assert new[f"{counted}{{method=GET,route=none,status=404}}"] == 1
    assert new[f"{counted}{{method=GET,route=none,status=401}}"] == 1
    assert new["ouroboros_http_request_seconds_count{route=/metrics}"] >= 1
    assert not any("nobody-has-this-run" in key or "7f" in key for key in now)


def test_what_cannot_be_read_is_left_out_and_told(served, monkeypatch):
    @contextmanager
    def away(*_):
        raise Unhealthy("control_plane_unreachable", "away")
        yield

    monkeypatch.setattr("ouroboros.adapters.control.measures.control", away)
    now = told(served)
    assert now["ouroboros_part_up{part=control}"] == 0
    assert now["ouroboros_part_up{part=disk}"] == 1
    assert "ouroboros_queue_length{}" not in now
    assert now["ouroboros_disk_size_bytes{}"] > 0


def asked_for() -> dict[str, set[str]]:
    dashboard = json.loads((INFRA / "grafana" / "ouroboros.json").read_text())
    expressions = [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
    rules = [line for line in RULES.read_text().splitlines() if "runbook" not in line]
    test = (INFRA / "prometheus" / "ouroboros.test.yml").read_text()
    return {
        "dashboard": set(_WORDS.findall("\n".join(expressions))),
        "rules": set(_WORDS.findall("\n".join(rules))),
        "test": set(re.findall(r"'(ouroboros_[a-z_]+)", test)),
    }


def test_dashboard_and_alerts_ask_for_what_is_told_and_every_metric_is_documented(served):
    slot = served.lease("metrics-names")
    ended_publish(served, "metrics-names", slot, 1.0)
    reset(served, slot, "standby", 20.0)
    served.at.leases.tell_alive()
    names = {key.partition("{")[0] for key in told(served)} - {"ouroboros_rules"}
    for where, wanted in asked_for().items():
        assert wanted, where
        assert wanted - names == set(), where
    written = (INFRA.parent / "docs" / "metrics.md").read_text()
    families = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in names}
    undocumented = {
        name for name in families if f"`{name}`" not in written and "api_process" not in name
    }
    assert undocumented == set()


def test_promtool_finds_the_alerts_sound():
    """The rules are valid, and each fires and stays silent as its test file says."""
    if PROMTOOL is None:
        reason = "there is no promtool (Debian package prometheus): ALERT RULES ARE NOT CHECKED"
        pytest.skip(reason)
    for arguments in (("check", "rules", str(RULES)),
                      ("test", "rules", str(RULES.with_name("ouroboros.test.yml"))),
                      ("check", "config", "--syntax-only",
                       str(RULES.with_name("prometheus.yml")))):  # fmt: skip
        done = subprocess.run(
            [PROMTOOL, *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
