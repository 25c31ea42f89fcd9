"""Migrations: run the branch's own against the slot's database, as the slot's role.

Used by a publish and by `preview-slot-migrate.sh`; both refuse any other target before a command
of the branch runs.
"""

import json
from dataclasses import dataclass
from typing import Any

from ouroboros.adapters.control.slots import SlotReader
from ouroboros.domain.command import Command, Finished
from ouroboros.domain.errors import Failed, Refused
from ouroboros.domain.failpoint import failpoint
from ouroboros.domain.slot import Slot
from ouroboros.ports import CommandRunner
from ouroboros.services.backends import Backends
from ouroboros.services.binding import placeholders, require_bound, resolve_argv
from ouroboros.services.publish.hold import give_back, hold_visitors
from ouroboros.services.publish.work import Work
from ouroboros.services.released_backend import ReleasedBackend

_TIME_LIMIT_S = 600.0


def migrate_slot(work: Work) -> dict[str, Any]:
    """Run the migrations of the release if there can be any; raises `migration_failed`.

    The database is kept as it is first, and where a preview is served its visitors wait until
    the new code or the old one answers: none of them meets a schema that is not its code's.
    """
    application, slot = work.application, work.publish.slot
    migrations = work.results["source"]["migrations"]
    if migrations is None:
        work.log.line("no migrations")
        return {"migrated": False}
    if work.backends.databases.migrations(slot) == migrations:
        work.log.line("nothing to migrate: the database has seen these migrations")
        if work.backends.databases.has_checkpoint(slot, work.publish.seq):
            # This very publish has run them, and its worker died before it could say so.
            return {"migrated": True, "migrations": migrations, "held": hold_visitors(work)}
        return {"migrated": False, "migrations": migrations}
    environment = work.backends.environment(slot, work.source, work.publish.run_id, work.commit)
    require_bound(slot, environment, work.backends.databases.url(slot).text())
    directory = work.source / application.migrate_dir
    argv = resolve_argv(application.migrate, directory, placeholders(slot, environment))
    command = Command(argv, directory, environment, _TIME_LIMIT_S, slot_id=slot.id)
    with work.backends.slots.exclusive_work(slot):
        found: dict[str, Any] = {"held": hold_visitors(work)}
        failpoint("migrate.held")
        found |= _keep_state(work)
        # From here on nobody starts live code by hand; somebody may have until now.
        if work.backends.runtime.status(slot).state != "stopped":
            hold_visitors(work)
        work.log.line(f"database {slot.database.name} as {slot.database.role}")
        found |= _run_observed(work, command)
        failpoint("migrate.ran")
        work.backends.databases.note_migrations(slot, work.publish.fence, migrations)
    return {"migrated": True, "migrations": migrations, "db_name": slot.database.name, **found}


def _run_observed(work: Work, command: Command) -> dict[str, Any]:
    """Run the migrations and report what they did: an artifact, and in short in the log.

    A rehearsal says more (`ouroboros db migrate --rehearse`), but takes longer than a publish may.
    """
    slot = work.publish.slot
    with work.backends.databases.observing(slot) as observed:
        finished = work.run(command, "migration_failed")
    report = {"duration_ms": round(finished.duration_s * 1000, 1), **observed.document()}
    name = f"migrate.{slot.id}.json"
    work.log.write(name, json.dumps({"slot_id": slot.id, **report}, indent=2))
    for lock in report["locks"]:
        work.log.line(f"locked {lock['table']} ({lock['mode']}) for {lock['held_ms']} ms")
    for table in report["tables_rewritten"]:
        work.log.line(f"rewrote {table}")
    return {"report": report, "artifact": name}


def undo_migrate(work: Work) -> None:
    """Give the slot its database back as this publish found it, and the live backend with it."""
    give_back(work, work.backends.databases.put_back)


def _keep_state(work: Work) -> dict[str, Any]:
    publish = work.publish
    kept = work.backends.databases.take_checkpoint(publish.slot, publish.fence, publish.seq)
    work.log.line(
        f"kept the state before as {kept['checkpoint']}: {kept['checkpoint_bytes'] >> 20} MB "
        f"in {kept['checkpoint_ms']} ms"
    )
    return kept


@dataclass(frozen=True, slots=True)
class Migrator:
    """Migrating a slot's database by hand, with the live release's own migrations."""

    backends: Backends
    slots: SlotReader
    runner: CommandRunner

    def migrate(self, slot: Slot, *, dry_run: bool, run_id: str | None = None) -> dict[str, Any]:
        """Run them, or only check target and command (`dry_run`).

        With a run only while it holds the slot (`lease_lost`). Raises `nothing_published`,
        `no_migrations`, `migration_failed`, `slot_busy`.
        """
        command = self._command(slot)
        answer: dict[str, Any] = {
            "slot_id": slot.id,
            "db_name": slot.database.name,
            "role": slot.database.role,
            "dry_run": dry_run,
        }
        if dry_run:
            steps = [f"run {command.shown()} in {command.cwd} against {slot.database.name}"]
            return {**answer, "steps": steps}
        with self.slots.exclusive_work(slot, run_id):
            command = self._command(slot)
            finished = self.runner.run(command)
            self._require_success(slot, command, finished)
            self._note(slot)
        return {
            **answer,
            "duration_ms": round(finished.duration_s * 1000, 1),
            "output": finished.output[-4000:],
        }

    def rehearse(self, slot: Slot) -> dict[str, Any]:
        """Run them on a throw-away clone and report what each does; the slot is not touched.

        Raises `nothing_published`, `no_migrations`, `never_reset`.
        """
        return self.backends.databases.rehearse(slot, self._command(slot))

    def _command(self, slot: Slot) -> Command:
        released = self.backends.live(slot)
        if released is None or not released.migrate:
            code = "nothing_published" if released is None else "no_migrations"
            raise Refused(
                code,
                f"{slot.id} has no live release with migrations",
                "ouroboros publish --run-id R --repo PATH --ref REF",
                {"slot_id": slot.id},
            )
        return self._command_of(slot, released)

    def _command_of(self, slot: Slot, released: ReleasedBackend) -> Command:
        worktree = self.backends.layout.release(slot, released.publish_id) / "src"
        environment = self.backends.environment(
            slot, worktree, released.run_id, released.commit_sha
        )
        require_bound(slot, environment, self.backends.databases.url(slot).text())
        directory = released.migrate_directory
        argv = resolve_argv(released.migrate, directory, placeholders(slot, environment))
        return Command(argv, directory, environment, _TIME_LIMIT_S, slot_id=slot.id)

    def _note(self, slot: Slot) -> None:
        """Remember which migrations the database has seen, so that a publish can skip them."""
        released = self.backends.live(slot)
        if released is not None and released.migrations is not None:
            self.backends.databases.note_migrations(slot, None, released.migrations)

    @staticmethod
    def _require_success(slot: Slot, command: Command, finished: Finished) -> None:
        if finished.succeeded:
            return
        raise Failed(
            "migration_failed",
            f"{command.shown()} ended with status {finished.exit_status} on {slot.database.name}",
            "the end of its output is in `output`",
            {"slot_id": slot.id, "output": finished.output[-4000:]},
        )
