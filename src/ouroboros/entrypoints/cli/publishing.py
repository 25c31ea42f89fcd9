"""Asking for a publish or a rollback, and waiting until it has ended."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ouroboros.domain.errors import Failed, PreviewError, TimedOut
from ouroboros.entrypoints.cli.connect import client, path_of
from ouroboros.entrypoints.cli.output import Document, answer, coloured, facts, progress
from ouroboros.entrypoints.cli.patience import Patience

if TYPE_CHECKING:
    from ouroboros.client import Client

_WATCH_S = 20.0
_CODES_OF_LIMITS = {"build_timed_out", "backend_not_ready", "browser_timed_out"}


def ask_publish(
    run_id: str, repo: str, ref: str, prebuilt: str | Path | None = None, *, detach: bool = False
) -> None:
    """Queue a publish, wait for its end unless detached, and answer."""
    api = client()
    repo = repo if "://" in repo else str(Path(repo).absolute())
    asked = {"run_id": run_id, "repo": repo, "ref": ref}
    if prebuilt is not None:
        asked["prebuilt"] = str(Path(prebuilt).absolute())
    queued = api.post("/api/publishes", asked)
    found = queued if detach else watch(api, queued)
    answer("publish", found, _told)


def ask_rollback(
    slot: str, to: str | None = None, *, database: bool = False, detach: bool = False
) -> None:
    """Queue a rollback, wait for its end unless detached, and answer."""
    api = client()
    path = path_of("api", "slots", slot, "rollback")
    queued = api.post(path, {"to": to, "database": database})
    found = queued if detach else watch(api, queued)
    answer("rollback", found, _told)


def watch(api: "Client", queued: Document) -> Document:
    """Show the steps of a publish that was queued until it ends, over restarts of the API.

    Raises `publish_failed` and the like.
    """
    told, began, patience = set[str](), time.monotonic(), Patience()
    path, seen = path_of("api", "publishes", queued["publish_id"]), queued["version"]
    while True:
        try:
            found: dict[str, Any] = api.get(path, {"wait_s": _WATCH_S, "seen": seen}, 60.0)
        except PreviewError as error:
            patience.bear(error)
            continue
        patience.heard()
        seen = found["version"]
        for step in found["steps"]:
            mark = f"{step['step']} {step['state']}"
            if mark not in told:
                told.add(mark)
                progress(_step_line(step, time.monotonic() - began, found.get("expected_s")))
        if found["final"]:
            break
    if found["state"] != "ready":
        raise _failure(found)
    return found


def _step_line(step: Document, elapsed_s: float, expected_s: float | None = None) -> str:
    signs = {"running": "…", "done": "✓", "failed": "✗"}
    took = "" if step["duration_ms"] is None else f"  {step['duration_ms'] / 1000:.1f} s"
    encoding = (sys.stderr.encoding or "ascii").lower()
    sign = signs[step["state"]] if "utf" in encoding else step["state"]
    left = ""
    if step["state"] == "running" and expected_s is not None and expected_s > elapsed_s:
        left = f"  about {expected_s - elapsed_s:.0f} s left"
    sign = coloured(sign, step["state"], sys.stderr)
    return f"[{elapsed_s:6.1f} s] {sign} {step['step']}{took}{left}"


def _failure(found: Document) -> Failed | TimedOut:
    failure = found["failure"] or {}
    code = failure.get("error") or f"publish_{found['state']}"
    kind = TimedOut if code in _CODES_OF_LIMITS else Failed
    step = f" in step {found['failed_step']}" if found["failed_step"] else ""
    return kind(
        code,
        f"publish {found['publish_id']} {found['state']}{step}: {failure.get('message', '')}",
        failure.get("hint") or f"ouroboros logs {found['publish_id']}",
        {key: found[key] for key in _REPORTED} | {"failure": failure},
    )


_REPORTED = (
    "publish_id", "run_id", "slot_id", "state", "commit_sha", "failed_step", "steps", "log",
    "url", "slot_backend_url", "vite_api_base_url",
)  # fmt: skip


def _told(found: Document) -> str:
    return facts(found, "state", "url", "commit_sha", "slot_id", "publish_id", "log")
