"""Smoke check: does the new preview do its job, asked as a client of it would ask.

By the contract it posts a heartbeat to the slot's backend and reads it back; an application may
declare checks of its own instead: requests, and pages that a browser visits. The result is an
artifact tagged with the slot.
"""

import json
from typing import Any

from ouroboros.adapters.http_probe import ask
from ouroboros.domain.application import SmokeCheck
from ouroboros.domain.errors import Failed
from ouroboros.services.publish.pages import check_pages
from ouroboros.services.publish.work import Work


def check_smoke(work: Work) -> dict[str, Any]:
    """Run the smoke checks; raises `smoke_check_failed` naming the first that did not hold.

    Where a page is to be checked, also what `PageBrowser.visit` raises.
    """
    port = work.results["restart"]["port"]
    checks: list[dict[str, Any]] = []
    if port is None:
        checks.append(_check_files(work))
    elif work.application.heartbeat_smoke:
        checks.extend(_check_heartbeat(work, port))
    declared = work.application.smoke
    checks += [_check_declared(work, each, port) for each in declared if each.kind == "http"]
    checks += check_pages(work, [each for each in declared if each.kind == "page"], port)
    failed = [check for check in checks if not check["ok"]]
    result = {
        "slot_id": work.publish.slot.id,
        "run_id": work.publish.run_id,
        "publish_id": work.publish.publish_id,
        "commit_sha": work.commit,
        "slot_backend_url": work.publish.slot.backend_url,
        "vite_api_base_url": "/api",
        "ok": not failed,
        "checks": checks,
    }
    name = f"smoke.{work.publish.slot.id}.json"
    work.log.write(name, json.dumps(result, indent=2, default=str))
    for check in checks:
        work.log.line(f"{'ok  ' if check['ok'] else 'FAIL'} {check['check']}")
    if failed:
        raise Failed(
            "smoke_check_failed", f"{failed[0]['check']}: {failed[0]['found']}", f"artifact {name}"
        )
    return {"checks": len(checks), "artifact": name}


def _check_heartbeat(work: Work, port: int) -> list[dict[str, Any]]:
    slot, run_id = work.publish.slot, work.publish.run_id
    path = f"/api/slots/{slot.id}/heartbeat"
    posted = ask(port, path, method="POST", document={"run_id": run_id})
    beat = posted.json()
    updated = isinstance(beat, dict) and beat.get("heartbeat_updated") is True
    read = ask(port, "/api/slots")
    listed = read.json()
    listed = listed.get("slots") if isinstance(listed, dict) else listed
    rows = listed if isinstance(listed, list) else []
    own = [row for row in rows if isinstance(row, dict) and row.get("slot_id") == slot.id]
    back = bool(own) and own[0].get("run_id") == run_id and own[0].get("heartbeat_at")
    return [
        {
            "check": f"POST {path}",
            "ok": posted.status == 200 and updated,
            "found": f"{posted.status} {posted.body[:300]}",
        },
        {
            "check": "GET /api/slots reads the heartbeat back",
            "ok": read.status == 200 and bool(back),
            "found": f"{read.status} {read.body[:300]}",
        },
    ]


def _check_declared(work: Work, check: SmokeCheck, port: int | None) -> dict[str, Any]:
    named = f"{check.method} {check.path} is {check.status}"
    if port is None:
        path = (work.release / "web" / check.path.lstrip("/")).resolve()
        index = path / "index.html" if path.is_dir() else path
        inside = index.is_relative_to((work.release / "web").resolve())
        body = index.read_text("utf-8", "replace") if inside and index.is_file() else None
        found = 200 if body is not None else 404
        return {
            "check": named,
            "ok": found == check.status and check.contains in (body or ""),
            "found": f"{found}",
        }
    answer = ask(port, check.path, method=check.method)
    return {
        "check": named,
        "ok": answer.status == check.status and check.contains in answer.body,
        "found": f"{answer.status} {answer.body[:300]}",
    }


def _check_files(work: Work) -> dict[str, Any]:
    index = work.release / "web" / "index.html"
    found = index.is_file() and index.stat().st_size > 0
    return {"check": "the front end has an index.html", "ok": found, "found": str(found)}
