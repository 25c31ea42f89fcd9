"""What changed in a slot's database since its reset, as tables; and whether anything did."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ouroboros.domain.errors import PreviewError
from ouroboros.domain.slot import Slot
from ouroboros.entrypoints.http.dependencies import At, PathSlot
from ouroboros.entrypoints.http.pages.rendering import show

router = APIRouter()

_SAMPLES = 20
_MOST_COLUMNS = 12


@router.get("/slots/{slot}/database")
def difference(request: Request, at: At, slot: PathSlot) -> HTMLResponse:
    """Compare the database with what its last reset promised. Costs a comparison; not live."""
    return _show(request, at, slot, "difference.html", lambda: at.databases.diff(slot, _SAMPLES))


@router.get("/slots/{slot}/verify")
def verified(request: Request, at: At, slot: PathSlot) -> HTMLResponse:
    """Whether the database is what its last reset promised. Costs a fingerprint; not live."""
    return _show(request, at, slot, "verified.html", lambda: at.databases.verify(slot))


def _show(
    request: Request, at: At, slot: Slot, template: str, look: Callable[[], dict[str, Any]]
) -> HTMLResponse:
    """A page of what a look at the database finds, or of why it cannot be looked at."""
    found: dict[str, Any] = {}
    error: PreviewError | None = None
    try:
        found = look()
    except PreviewError as trouble:
        error = trouble
    return show(
        request,
        template,
        title=f"Database of {slot.id}",
        here="/",
        live=False,
        status=200 if error is None else error.http_status,
        slot=at.slots.get(slot),
        found=found,
        tables=[_table(name, each) for name, each in found.get("tables", {}).items()],
        error=error,
    )


def _table(name: str, each: dict[str, Any]) -> dict[str, Any]:
    """One table's samples as rows of equal columns: what came, what changed, what went."""
    samples = each["samples"]
    whole = [*samples.get("added", []), *samples.get("removed", [])]
    names = list(dict.fromkeys(column for row in whole for column in row))
    for row in samples.get("changed", []):
        names += [column for column in (*row["key"], *row["changes"]) if column not in names]
    shown = sum(len(rows) for rows in samples.values())
    return {
        "name": name,
        "added": each["added"],
        "changed": each["changed"],
        "removed": each["removed"],
        "columns": names[:_MOST_COLUMNS],
        "left_out": len(names) - _MOST_COLUMNS,
        "rows": [*_rows(samples)],
        "hidden": each["added"] + each["changed"] + each["removed"] - shown,
    }


def _rows(samples: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    rows = [{"kind": "added", "values": row, "changes": {}} for row in samples.get("added", [])]
    rows += [
        {"kind": "changed", "values": row["key"], "changes": row["changes"]}
        for row in samples.get("changed", [])
    ]
    rows += [
        {"kind": "removed", "values": row, "changes": {}} for row in samples.get("removed", [])
    ]
    return rows
