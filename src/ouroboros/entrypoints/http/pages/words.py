"""Words for people: times, sizes and events as they are said on a page."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

_UNITS = (("d", 86400), ("h", 3600), ("min", 60))
_EVENTS = {
    "run.waiting": "waits for a slot",
    "run.left_queue": "left the queue",
    "lease.granted": "was given the slot",
    "lease.released": "gave the slot back",
    "lease.expired": "lost the slot: its lease ended",
    "slot.locked": "slot was locked",
    "slot.unlocked": "slot was unlocked",
    "publish.queued": "publish was asked for",
    "rollback.queued": "rollback was asked for",
    "publish.failed": "publish failed",
    "publish.cancelled": "publish was cancelled",
    "publish.superseded": "publish was superseded by a newer one",
    "pull_request.publish": "pull request was opened or pushed",
    "pull_request.release": "pull request was closed",
    "pull_request.waits_for_approval": "a fork's commit waits for approval",
    "pull_request.approved": "a fork's commit was approved",
    "pull_request.failed": "pull request cannot be published",
    "pull_request.released": "pull request gave back what it held",
    "report.failed": "the git host could not be told",
    "preview_ready": "preview is ready",
    "picture.taken": "picture was taken",
    "picture.failed": "picture could not be taken",
    "artifacts.collected": "old artifacts were removed",
    "database_work_failed": "work on a database failed",
}


def span(seconds: float) -> str:
    """A length of time in its largest whole unit: `3 min`."""
    for name, size in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {name}"
    return f"{max(0, int(seconds))} s"


def words(at: datetime, form: str = "ago") -> str:
    """A moment as said now: `ago`, `left` or `since`."""
    passed = (datetime.now(UTC) - at).total_seconds()
    match form:
        case "left":
            return "over" if passed >= 0 else f"{span(-passed)} left"
        case "since":
            return span(passed)
        case _:
            return "just now" if passed < 5 else f"{span(passed)} ago"


def duration(milliseconds: float | None) -> str:
    """A measured time: `740 ms`, `3.2 s`, `2 min 5 s`."""
    if milliseconds is None:
        return "–"
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def took(row: Mapping[str, Any]) -> str:
    """How long a publish or a reset took; a dash while it runs."""
    began = row.get("started_at") or row.get("reset_started_at")
    ended = row.get("finished_at") or row.get("reset_completed_at")
    if began is None or ended is None:
        return "–"
    return duration((ended - began).total_seconds() * 1000)


def size(count: int | None) -> str:
    """A number of bytes: `812 B`, `14 kB`, `3.1 MB`."""
    if count is None:
        return "–"
    if count < 1000:
        return f"{count} B"
    if count < 1_000_000:
        return f"{count / 1000:.0f} kB"
    return f"{count / 1_000_000:.1f} MB"


def told(event: Mapping[str, Any]) -> str:
    """An event as a short sentence without its subject."""
    kind = str(event["kind"])
    text = _EVENTS.get(kind) or kind.replace(".", " ").replace("_", " ")
    details = event.get("details") or {}
    if details.get("failed_step"):
        text += f" in step {details['failed_step']}"
    if kind == "lease.released" and details.get("reason") not in (None, "released"):
        text += f" ({details['reason']})"
    if kind in ("pull_request.failed", "report.failed"):
        text += f": {details.get('error')}"
    if kind == "publish.queued" and details.get("ref"):
        text += f": {details['ref']}"
    return text


def percent(part: float, whole: float) -> int:
    """A share in whole percent, between 0 and 100."""
    return round(100 * min(1.0, max(0.0, part / whole))) if whole > 0 else 0


def changes(deed: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """What an action changed: name, value before, value after."""
    before, after = deed.get("before") or {}, deed.get("after") or {}
    return [
        (name, _short(before.get(name)), _short(after.get(name)))
        for name in after
        if before.get(name) != after.get(name) and name != "expires_at"
    ]


def _short(value: object) -> str:
    return "–" if value is None else str(value)[:12]


FILTERS: dict[str, Callable[..., Any]] = {
    "words": words,
    "duration": duration,
    "took": took,
    "size": size,
    "told": told,
    "changes": changes,
}
