"""Publishing on the command line: publish and watch, list, cancel."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ouroboros.domain.errors import Failed, PreviewError, TimedOut
from ouroboros.entrypoints.cli import logs
from ouroboros.entrypoints.cli.connect import client, path_of
from ouroboros.entrypoints.cli.lease import RunId
from ouroboros.entrypoints.cli.output import Document, answer, coloured, facts, progress, table
from ouroboros.entrypoints.cli.patience import Patience

if TYPE_CHECKING:
    from ouroboros.client import Client

_WATCH_S = 20.0
_CODES_OF_LIMITS = {"build_timed_out", "backend_not_ready", "browser_timed_out"}


def publish(
    run_id: RunId,
    repo: Annotated[str, typer.Option(help="path or URL of the git repository")],
    ref: Annotated[str, typer.Option(help="branch, tag or full commit id")],
    prebuilt: Annotated[
        Path | None, typer.Option(help="a directory with built files: web/, backend/")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="do not wait for the end")] = False,
) -> None:
    """Publish a commit into the slot that the run holds, and wait until it is ready or failed."""
    api = client()
    repo = repo if "://" in repo else str(Path(repo).absolute())
    asked = {"run_id": run_id, "repo": repo, "ref": ref}
    if prebuilt is not None:
        asked["prebuilt"] = str(prebuilt.absolute())
    queued = api.post("/api/publishes", asked)
    found = queued if detach else watch(api, queued["publish_id"])
    answer("publish", found, _told)


def rollback(
    slot: Annotated[str, typer.Option(help="the slot that goes back")],
    to: Annotated[str | None, typer.Option(help="a publish; else the one before")] = None,
    database: Annotated[
        bool, typer.Option("--database", help="also the database's state of that release")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="do not wait for the end")] = False,
) -> None:
    """Serve a release again that is kept: front end, backend and, on request, the database."""
    api = client()
    path = path_of("api", "slots", slot, "rollback")
    queued = api.post(path, {"to": to, "database": database})
    found = queued if detach else watch(api, queued["publish_id"])
    answer("rollback", found, _told)


def releases(slot: Annotated[str, typer.Option(help="the slot")]) -> None:
    """The releases of a slot's lease, and which of them can be gone back to."""
    got = client().get(path_of("api", "slots", slot, "releases"))
    columns = ("publish_id", "live", "kept", "commit_sha", "ref", "ready_at")
    answer(
        "releases", got, lambda d: table(([r[c] for c in columns] for r in d["releases"]), columns)
    )


def watch(api: "Client", publish_id: str) -> Document:
    """Show a publish's steps until it ends, over restarts of the API.

    Raises `publish_failed` and the like.
    """
    seen, told, began, patience = "", set[str](), time.monotonic(), Patience()
    while True:
        query = {"wait_s": _WATCH_S, "seen": seen}
        try:
            found: dict[str, Any] = api.get(path_of("api", "publishes", publish_id), query, 60.0)
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


def publishes(
    slot: Annotated[str | None, typer.Option(help="only of this slot")] = None,
    run_id: Annotated[str | None, typer.Option(help="only of this run")] = None,
) -> None:
    """The newest publishes."""
    got = client().get("/api/publishes", {"slot": slot, "run_id": run_id})
    columns = ("publish_id", "state", "slot_id", "run_id", "ref", "commit_sha", "queued_at")
    answer(
        "publishes",
        got,
        lambda d: table(([p[c] for c in columns] for p in d["publishes"]), columns),
    )


def cancel(publish_id: Annotated[str, typer.Argument(help="e.g. p12")]) -> None:
    """Ask for the end of a publish; what was served before stays."""
    got = client().post(path_of("api", "publishes", publish_id, "cancel"))
    answer("cancel", got, lambda d: facts(d, "publish_id", "state"))


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


COMMANDS = {
    "publish": publish,
    "publishes": publishes,
    "rollback": rollback,
    "releases": releases,
    "logs": logs.logs,
    "cancel": cancel,
}
