"""`ouroboros` alone: the state in a few lines, and the command that is useful next."""

from typing import Any

from ouroboros.domain.errors import Unhealthy
from ouroboros.entrypoints.cli.connect import client
from ouroboros.entrypoints.cli.output import Document, answer, bold, table

_UP = "ouroboros up --detach"


def show_overview() -> None:
    """Answer with the slots and the next command; that nothing is up is an answer, too."""
    try:
        got = client().get("/api/slots")
    except Unhealthy as error:
        if error.code != "api_unreachable":
            raise
        answer("", {"up": False, "slots": [], "next": _UP}, _told)
        return
    answer("", {"up": True, **got, "next": next_command(got["slots"], got["queue"])}, _told)


def next_command(slots: list[dict[str, Any]], queue: list[dict[str, Any]]) -> str:
    """What one would most likely type now: what is broken first, then what is not done."""
    of_state = {slot["state"]: slot for slot in reversed(slots)}
    if "failed" in of_state:
        return f"ouroboros logs {of_state['failed']['latest_publish']}"
    if "leased" in of_state:
        run_id = of_state["leased"]["run_id"]
        return f"ouroboros publish --run-id {run_id} --repo PATH --ref BRANCH"
    if "building" in of_state:
        return f"ouroboros logs --follow {of_state['building']['latest_publish']}"
    if "ready" in of_state:
        return f"ouroboros open {of_state['ready']['slot_id']}"
    if queue:
        return "ouroboros queue"
    return "ouroboros allocate --run-id RUN --seed-version v1"


def _told(document: Document) -> str:
    if not document["up"]:
        return f"Ouroboros is not up.\n\nNext: {bold(document['next'])}"
    rows = [
        (slot["slot_id"], slot["state"], slot["run_id"], slot["branch"], slot["url"])
        if slot["run_id"]
        else (slot["slot_id"], slot["state"], "", "", "")
        for slot in document["slots"]
    ]
    parts = [table(rows, ("slot", "state", "run", "branch", "preview"))]
    if document["queue"]:
        waiting = ", ".join(run["run_id"] for run in document["queue"])
        parts.append(f"Waiting for a slot: {waiting}")
    parts.append(f"Next: {bold(document['next'])}\nAll commands: ouroboros --help")
    return "\n\n".join(parts)
