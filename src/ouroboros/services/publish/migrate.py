"""Migrations: run the branch's own against the slot's database, as the slot's role.

Used by a publish and by `preview-slot-migrate.sh`; both refuse any other target before a command
of the branch runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ouroboros.adapters.control.slots import SlotReader
from ouroboros.domain.command import Command, Finished
from ouroboros.domain.errors import Failed, Refused
from ouroboros.domain.slot import Slot
from ouroboros.ports import CommandRunner
from ouroboros.services.backends import (
    Backends,
    ReleasedBackend,
    placeholders,
    require_bound,
    resolve_argv,
)
from ouroboros.services.publish.work import Work

_TIME_LIMIT_S = 600.0


def migrate_slot(work: Work) -> dict[str, Any]:
    """Run the migrations of the release; raises `migration_failed`."""
    application = work.application
    if not application.migrate:
        work.log.line("no migrations")
        return {"migrated": False}
    slot = work.publish.slot
    environment = work.backends.environment(slot, work.source, work.publish.run_id, work.commit)
    require_bound(slot, environment, work.backends.databases.url(slot).text())
    directory = work.source / application.migrate_dir
    argv = resolve_argv(application.migrate, directory, placeholders(slot, environment))
    work.log.line(f"database {slot.database.name} as {slot.database.role}")
    command = Command(argv, directory, environment, _TIME_LIMIT_S)
    with work.backends.slots.exclusive_work(slot):
        work.run(command, "migration_failed")
    return {"migrated": True, "db_name": slot.database.name}


@dataclass(frozen=True, slots=True)
class Migrator:
    """Migrating a slot's database by hand, with the live release's own migrations."""

    backends: Backends
    slots: SlotReader
    runner: CommandRunner

    def migrate(
        self, slot: Slot, *, dry_run: bool, on_output: Callable[[bytes], None] | None = None
    ) -> dict[str, Any]:
        """Run them, or only check target and command (`dry_run`).

        Raises `nothing_published`, `no_migrations`, `migration_failed`, `slot_busy`.
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
        with self.slots.exclusive_work(slot):
            command = self._command(slot)
            finished = self.runner.run(command, on_output)
        self._require_success(slot, command, finished)
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
        return Command(argv, directory, environment, _TIME_LIMIT_S)

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
