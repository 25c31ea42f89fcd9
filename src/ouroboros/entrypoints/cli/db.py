"""The databases of slots on the command line."""

from typing import Annotated

import typer

from ouroboros.entrypoints.cli.connect import client, path_of
from ouroboros.entrypoints.cli.lease import DryRun, SlotName
from ouroboros.entrypoints.cli.output import Document, answer, facts, table
from ouroboros.entrypoints.cli.resets import ask_reset, tell_done

app = typer.Typer(help="The databases of slots.", no_args_is_help=True)

SeedVersion = Annotated[str | None, typer.Option("--seed-version", help="e.g. v1")]
SnapshotVersion = Annotated[str | None, typer.Option("--snapshot-version")]
OptionalRun = Annotated[str | None, typer.Option("--run-id", help="the run it is done for")]
Rebuild = Annotated[bool, typer.Option("--rebuild", help="the version means the file as it is now")]
Strict = Annotated[bool, typer.Option("--strict", help="refuse a seed that differs when repeated")]
Rehearse = Annotated[bool, typer.Option("--rehearse", help="on a throw-away clone, and report")]


@app.command()
def reset(slot: SlotName, run_id: OptionalRun = None, dry_run: DryRun = False) -> None:
    """Replace the slot's database by an empty one."""
    ask_reset("reset", slot, strategy="empty", run_id=run_id, dry_run=dry_run)


@app.command()
def seed(
    slot: SlotName,
    seed_version: Annotated[str, typer.Option("--seed-version", help="e.g. v1")],
    run_id: OptionalRun = None,
    dry_run: DryRun = False,
    rebuild: Rebuild = False,
    strict: Strict = False,
) -> None:
    """Make the slot's database exactly what the seed version says, whatever it holds now."""
    asked = {"seed_version": seed_version, "run_id": run_id, "dry_run": dry_run}
    how = {"rebuild": rebuild, "strict": strict}
    ask_reset("seed", slot, strategy="seed", **asked, **how)


@app.command("reset-and-seed")
def reset_and_seed(
    slot: SlotName,
    run_id: Annotated[str, typer.Option("--run-id", help="the run it is done for")],
    strategy: Annotated[str, typer.Option(help="seed or snapshot")],
    seed_version: SeedVersion = None,
    snapshot_version: SnapshotVersion = None,
    dry_run: DryRun = False,
    rebuild: Rebuild = False,
    strict: Strict = False,
) -> None:
    """Bring the slot's database to a seed's or snapshot's state, for a run."""
    asked = {
        "run_id": run_id,
        "strategy": strategy,
        "seed_version": seed_version,
        "snapshot_version": snapshot_version,
        "dry_run": dry_run,
        "rebuild": rebuild,
        "strict": strict,
    }
    ask_reset("reset-and-seed", slot, **asked)


@app.command()
def migrate(slot: SlotName, dry_run: DryRun = False, rehearse: Rehearse = False) -> None:
    """Run the live release's migrations on the slot's database."""
    path = path_of("api", "slots", slot, "migrate")
    asked = {"dry_run": dry_run, "rehearse": rehearse}
    got = client().post(path, asked, time_limit_s=1800.0 if rehearse else 660.0)
    answer("db migrate", got, _rehearsed if rehearse else tell_done)


def _rehearsed(document: Document) -> str:
    """One line for each migration, then what was learned of all."""
    rows = [
        (
            each["version"],
            "done" if each["succeeded"] else "failed",
            f"{each['duration_ms']:.0f} ms",
            ", ".join(f"{lock['table']} {lock['mode']} {lock['held_ms']:.0f} ms"
                      for lock in each["locks"]),
            ", ".join(each["tables_rewritten"]),
            ", ".join(f"{name} {sum(counts.values())}" for name, counts in each["rows"].items()),
        )
        for each in document["migrations"]
    ]  # fmt: skip
    head = ("version", "result", "time", "locks", "rewritten", "rows")
    return f"{table(rows, head)}\n{facts(document, 'runs_again', 'downgrade')}"
