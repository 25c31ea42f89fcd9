"""Leasing on the command line: allocate, heartbeat, release, lock, reap, slots and queue."""

import time
from typing import Annotated, Any

import typer

from ouroboros.domain.errors import PreviewError
from ouroboros.entrypoints.cli.completion import slot_names
from ouroboros.entrypoints.cli.connect import client, path_of
from ouroboros.entrypoints.cli.output import Document, answer, facts, progress, table
from ouroboros.entrypoints.cli.patience import Patience
from ouroboros.entrypoints.cli.watch import Watch, answer_again

RunId = Annotated[str, typer.Option("--run-id", help="the run, e.g. a ticket or session id")]
SlotName = Annotated[
    str,
    typer.Option("--slot", help="preview-<n>, or its alias preview<n>", autocompletion=slot_names),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="check and tell, change nothing")]

_WAIT_ONCE_S = 25.0
_RESET_LIMIT_S = 660.0  # a large seed is built into a template at its first use


def allocate(
    run_id: RunId,
    strategy: Annotated[str, typer.Option(help="seed or snapshot")] = "seed",
    seed_version: Annotated[str | None, typer.Option(help="e.g. v1")] = None,
    snapshot_version: Annotated[str | None, typer.Option(help="a snapshot's name")] = None,
    branch: Annotated[str | None, typer.Option(help="default: codex/run-<run-id>")] = None,
    priority: Annotated[int, typer.Option(help="higher is served first")] = 0,
    wait: Annotated[bool, typer.Option("--wait", help="wait until a slot is free")] = False,
    wait_limit_s: Annotated[float, typer.Option(help="give up waiting after this")] = 3600.0,
    dry_run: DryRun = False,
) -> None:
    """Lease a slot for a run and bring its database to a known state."""
    asked: dict[str, Any] = {
        "run_id": run_id,
        "strategy": strategy,
        "seed_version": seed_version,
        "snapshot_version": snapshot_version,
        "branch": branch,
        "priority": priority,
        "dry_run": dry_run,
    }
    got = _acquire(asked, wait_limit_s if wait else 0.0)
    answer("allocate", got, _told_allocation)


def _acquire(asked: dict[str, Any], patience_s: float) -> Document:
    api, deadline = client(), time.monotonic() + patience_s
    told = None
    enters, patience = True, Patience(patience_s)
    while True:
        remaining = min(_WAIT_ONCE_S, max(0.0, deadline - time.monotonic()))
        try:
            found: Document = api.post(
                "/api/slots/acquire",
                asked | {"wait_s": 0.0 if enters else remaining, "enters_queue": enters},
                time_limit_s=_RESET_LIMIT_S,
            )
            return found
        except PreviewError as error:
            if time.monotonic() >= deadline:
                raise
            if error.code != "waiting_for_slot":
                if enters:
                    raise
                patience.bear(error)  # the place in the queue is kept
                continue
            patience.heard()
            enters = False
            if told != (told := error.details.get("position")):
                at = error.details.get("estimated_at")
                progress(f"waiting for a slot: number {told} in the queue, about {at}")


def _told_allocation(got: Document) -> str:
    if got.get("dry_run"):
        return "\n".join(f"would {step}" for step in got["steps"])
    return facts(
        {**got, "reset": got["reset"].get("path") or got["reset"].get("status")},
        "slot_id", "run_id", "url", "db_name", "reset", "expires_at",
    )  # fmt: skip


def heartbeat(run_id: RunId, slot: SlotName) -> None:
    """Extend a run's lease by its TTL."""
    got = client().post(path_of("api", "slots", slot, "heartbeat"), {"run_id": run_id})
    answer("heartbeat", got, lambda d: facts(d, "slot_id", "run_id", "expires_at"))


def release(run_id: RunId, slot: SlotName) -> None:
    """Give a slot back: its publish is cancelled, its backend stopped, the next run gets it."""
    got = client().post(path_of("api", "slots", slot, "release"), {"run_id": run_id})
    answer("release", got, lambda d: facts(d, "slot_id", "run_id", "lease_state"))


def leave_queue(run_id: RunId) -> None:
    """Take a waiting run out of the queue."""
    got = client().post("/api/queue/leave", {"run_id": run_id})
    answer("leave-queue", got, facts)


def lock(
    slot: SlotName,
    reason: Annotated[str, typer.Option("--reason", help="one line: why nobody may have it")],
) -> None:
    """Let nobody be given a slot until it is unlocked; who holds it keeps it to the end."""
    got = client().post(path_of("api", "slots", slot, "lock"), {"reason": reason})
    answer("lock", got, lambda d: facts(d, "slot_id", "locked"))


def unlock(slot: SlotName) -> None:
    """Put a locked slot back into the pool; a run that waits gets it."""
    got = client().post(path_of("api", "slots", slot, "unlock"))
    answer("unlock", got, lambda d: facts(d, "slot_id", "locked"))


def reap() -> None:
    """End overdue leases now; the worker does it by itself every few seconds."""
    got = client().post("/api/slots/reap-expired")
    answer("reap", got, lambda d: f"{len(d['reaped'])} leases ended")


def slots(watch: Watch = False) -> None:
    """The slots: who holds them, until when, and what they serve."""
    columns = ("slot_id", "state", "run_id", "commit_sha", "seed_version", "expires_at", "url")
    answer_again(
        "slots",
        lambda: client().get("/api/slots"),
        lambda d: table(([s[c] for c in columns] for s in d["slots"]), columns),
        watch=watch,
    )


def queue(watch: Watch = False) -> None:
    """The runs that wait for a slot, next one first, and who holds what until when."""
    answer_again("queue", _ask_queue, _told_queue, watch=watch)


def _ask_queue() -> Document:
    got = client().get("/api/slots")
    held = ("slot_id", "run_id", "state", "commit_sha", "leased_at", "heartbeat_at", "expires_at")
    holders = [{key: slot[key] for key in held} for slot in got["slots"] if slot["run_id"]]
    return {"queue": got["queue"], "holders": holders}


def _told_queue(got: Document) -> str:
    waiting = ("position", "run_id", "priority", "waiting_since", "estimated_at")
    holding = ("slot_id", "run_id", "state", "expires_at")
    return "\n\n".join(
        table(([row[column] for column in columns] for row in rows), columns)
        for rows, columns in ((got["queue"], waiting), (got["holders"], holding))
    )


def resets(
    slot: Annotated[str | None, typer.Option(help="only of this slot")] = None,
    limit: Annotated[int, typer.Option(help="how many at most")] = 20,
) -> None:
    """The database resets that were made, newest first, each with its provenance."""
    got = client().get("/api/resets", {"slot": slot, "limit": limit})
    columns = ("id", "slot_id", "run_id", "strategy", "seed_version", "snapshot_version",
               "reset_status", "reset_started_at")  # fmt: skip
    answer("resets", got, lambda d: table(([r[c] for c in columns] for r in d["resets"]), columns))


COMMANDS = {
    "allocate": allocate,
    "heartbeat": heartbeat,
    "release": release,
    "leave-queue": leave_queue,
    "lock": lock,
    "unlock": unlock,
    "reap": reap,
    "slots": slots,
    "queue": queue,
    "resets": resets,
}
