"""`ouroboros db …` for states: fingerprints, differences, snapshots, files and the pool."""

import os
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from ouroboros.domain.errors import BadInput, NotFound, Refused
from ouroboros.domain.identifiers import parse_version
from ouroboros.entrypoints.cli import db
from ouroboros.entrypoints.cli.connect import client, path_of, settings
from ouroboros.entrypoints.cli.db import SeedVersion, SnapshotVersion
from ouroboros.entrypoints.cli.lease import SlotName
from ouroboros.entrypoints.cli.output import Document, answer, facts, table

app = db.app
_PATIENCE_S = 960.0

Name = Annotated[str, typer.Option("--name", help="the snapshot, e.g. before-checkout")]
MaybeSlot = Annotated[str | None, typer.Option("--slot", help="preview-<n> or preview<n>")]


@app.command()
def pool() -> None:
    """Show slots, standbys, templates and background work."""
    answer("db pool", client().get(path_of("api", "databases", "pool")), _pool)


@app.command("list")
def list_versions() -> None:
    """List every seed and snapshot with its files and templates."""
    answer("db list", client().get(path_of("api", "databases", "sources")), _sources)


@app.command()
def fingerprint(
    slot: MaybeSlot = None,
    seed_version: SeedVersion = None,
    snapshot_version: SnapshotVersion = None,
) -> None:
    """Fingerprint a slot's database as it is now, or a seed or snapshot."""
    chosen = [item for item in (slot, seed_version, snapshot_version) if item is not None]
    if len(chosen) != 1:
        raise BadInput(
            "invalid_request",
            "a fingerprint is of one thing",
            "give one of --slot, --seed-version, --snapshot-version",
        )
    if slot is not None:
        got = client().get(_of(slot, "fingerprint"), time_limit_s=_PATIENCE_S)
    else:
        asked = {
            "strategy": "seed" if seed_version is not None else "snapshot",
            "seed_version": seed_version,
            "snapshot_version": snapshot_version,
        }
        path = path_of("api", "databases", "fingerprint")
        got = client().post(path, asked, time_limit_s=_PATIENCE_S)
    answer("db fingerprint", got, lambda document: facts(document, "fingerprint", "promised"))


@app.command()
def verify(slot: SlotName) -> None:
    """Compare a slot's database with what its last reset promised."""
    got = client().post(_of(slot, "verify"), time_limit_s=_PATIENCE_S)
    answer("db verify", got, lambda document: facts(document, "slot_id", "matches", "fingerprint"))


@app.command()
def diff(
    slot: SlotName,
    samples: Annotated[int, typer.Option(help="rows shown of each kind of change")] = 5,
) -> None:
    """Show what changed in a slot's database since its reset."""
    got = client().post(_of(slot, "diff"), {"samples": samples}, time_limit_s=_PATIENCE_S)
    answer("db diff", got, _difference)


@app.command()
def snapshot(
    slot: SlotName,
    name: Name,
    archive: Annotated[bool, typer.Option("--archive", help="make a file of it, too")] = False,
) -> None:
    """Keep the present state of a slot's database under a name."""
    asked = {"name": name, "archive": archive}
    got = client().post(_of(slot, "snapshot"), asked, time_limit_s=_PATIENCE_S)
    answer("db snapshot", got, _facts_of_snapshot)


@app.command()
def delete(name: Name) -> None:
    """Delete a snapshot that no slot is on, with its file."""
    path = path_of("api", "databases", "snapshots", parse_version(name), "delete")
    answer("db delete", client().post(path), lambda document: facts(document, "name", "file"))


@app.command()
def export(
    name: Name, to: Annotated[Path | None, typer.Option("--to", help="copy the file here")] = None
) -> None:
    """Make a file of a snapshot for pg_restore, and copy it if asked."""
    path = path_of("api", "databases", "snapshots", parse_version(name), "archive")
    got = client().post(path, time_limit_s=_PATIENCE_S)
    if to is not None:
        _copy_new(Path(got["file"]), to / Path(got["file"]).name if to.is_dir() else to)
    answer("db export", {**got, "copied_to": str(to) if to else None}, facts)


@app.command("import")
def import_file(
    name: Name,
    file: Annotated[Path, typer.Option("--from", help="a .sql or .dump file of pg_dump")],
) -> None:
    """Take a file as a snapshot; it is loaded at the first reset to it."""
    configured = settings()
    if configured.url is not None:
        raise Refused("local_only", "a file is imported on the host itself", "unset OUROBOROS_URL")
    version = parse_version(name)
    if file.suffix not in (".sql", ".dump"):
        raise BadInput("invalid_request", f"{file} is neither .sql nor .dump", "see pg_dump -Fc")
    if not file.is_file():
        raise NotFound("file_not_found", f"there is no file {file}", "give its path with --from")
    listed = client().get(path_of("api", "databases", "sources"))["sources"]
    if any(each["strategy"] == "snapshot" and each["version"] == version for each in listed):
        raise Refused("snapshot_exists", f"there is a snapshot {version}", "choose another name")
    configured.snapshots_dir.mkdir(parents=True, exist_ok=True)
    target = configured.snapshots_dir / f"{version}{file.suffix}"
    _copy_new(file, target)
    answer("db import", {"name": version, "file": str(target)}, facts)


@app.command()
def url(slot: SlotName) -> None:
    """Print what the slot's backend gets as DATABASE_URL."""
    answer("db url", client().get(_of(slot, "url")), lambda document: str(document["database_url"]))


def _of(slot: str, what: str) -> str:
    return path_of("api", "slots", slot, "database", what)


def _copy_new(source: Path, target: Path) -> None:
    """Copy a file whole or not at all, and never over another."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    try:
        shutil.copyfile(source, draft)
        os.link(draft, target)
    except FileExistsError as error:
        raise Refused("file_exists", f"{target} exists", "choose another name") from error
    except OSError as error:
        raise BadInput("file_unwritable", f"{target}: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)


def _pool(document: Document) -> str:
    rows = [
        (
            slot["slot_id"],
            _state(slot["source"]),
            _megabytes(slot["bytes"]),
            "ready" if slot["standby"]["ready_for_same"] else _state(slot["standby"]["source"]),
            slot["state"],
        )
        for slot in document["slots"]
    ]
    parts = [table(rows, ("slot", "state", "size", "standby", "database"))]
    templates = [
        (_state(each["source"]), each["name"], _megabytes(each["bytes"]), f"{each['age_s']} s",
         ", ".join(each["not_deterministic"] or []))
        for each in document["templates"]
    ]  # fmt: skip
    parts.append(table(templates, ("template of", "name", "size", "age", "not deterministic")))
    for key in ("being_made", "to_be_dropped"):
        if document[key]:
            parts.append(f"{key.replace('_', ' ')}: {', '.join(document[key])}")
    parts += [f"at work: {each['work']} ({each['running_s']} s)" for each in document["at_work"]]
    parts += [f"failed: {each['work']}: {each['message']}" for each in document["failures"]]
    return "\n\n".join(parts)


def _sources(document: Document) -> str:
    rows = [
        (
            each["strategy"],
            each["version"],
            each["file"],
            ", ".join(_megabytes(template["bytes"]) for template in each["templates"]),
            ", ".join(each["used_by"]),
        )
        for each in document["sources"]
    ]
    return table(rows, ("strategy", "version", "file", "templates", "used by"))


def _difference(document: Document) -> str:
    if not document["changed"]:
        return f"{document['slot_id']}: nothing changed since its reset"
    schema = [
        f"{sign} {item['kind']} {item['name']}"
        for sign, kind in (("+", "added"), ("~", "changed"), ("-", "removed"))
        for item in document["schema"][kind]
    ]
    rows = [
        (name, f"+{each['added']}", f"~{each['changed']}", f"-{each['removed']}")
        for name, each in document["tables"].items()
    ]
    samples = [
        f"{name}: {kind} {sample}"
        for name, each in document["tables"].items()
        for kind, found in each["samples"].items()
        for sample in found
    ]
    parts = ["\n".join(schema), table(rows, ("table", "added", "changed", "removed"))]
    return "\n\n".join([*(part for part in parts if part), "\n".join(samples)])


def _facts_of_snapshot(document: Document) -> str:
    return facts(document, "name", "slot_id", "fingerprint", "paused_ms", "file")


def _state(source: Any) -> str:
    if not source:
        return "-"
    return f"{source['strategy']} {source['version']}" if source["version"] else "empty"


def _megabytes(size: int) -> str:
    return f"{size / (1 << 20):.0f} MB"
