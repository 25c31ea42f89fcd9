"""The databases of slots: one facade over the use cases beside it.

Each use case is a module that reads top to bottom; this one only says what there is.
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ouroboros.adapters.cluster.access import ClusterAccess
from ouroboros.adapters.cluster.binaries import find_binaries
from ouroboros.adapters.cluster.observation import Observed
from ouroboros.adapters.control.connection import ControlPool
from ouroboros.domain.command import Command
from ouroboros.domain.database_url import DatabaseUrl
from ouroboros.domain.identifiers import parse_version
from ouroboros.domain.reset import ResetReport, Source
from ouroboros.domain.slot import Slot
from ouroboros.ports import CommandRunner
from ouroboros.services.databases import (
    check,
    checkpoints,
    compare,
    maintain,
    pool,
    recover,
    rehearse,
    reset,
    snapshots,
)
from ouroboros.services.databases.workbench import Workbench
from ouroboros.settings import Settings


class SlotDatabases:
    """What can be done with the databases of slots; safe to share between threads."""

    def __init__(
        self,
        control: ControlPool,
        access: ClusterAccess,
        settings: Settings,
        runner: CommandRunner,
        programs: Path | None = None,
    ) -> None:
        """`programs` is the directory of psql and pg_dump; it is looked for when not given."""
        found = programs or find_binaries(settings.pg_bin)
        self._bench = Workbench(control, access, settings, runner, found)
        self._backlog = maintain.Backlog()

    def url(self, slot: Slot) -> DatabaseUrl:
        """What a slot's backend gets as `DATABASE_URL`."""
        return self._bench.access.slot_url(slot)

    def check(self, source: Source) -> dict[str, Any]:
        """The dry run of a reset to a source; see `check.check`."""
        return check.check(self._bench, source)

    def reset(
        self,
        slot: Slot,
        source: Source,
        *,
        run_id: str | None,
        fence: int | None,
        rebuild: bool = False,
        strict: bool = False,
    ) -> ResetReport:
        """Bring a slot's database to the state of a source; see `reset.reset`."""
        return reset.reset(
            self._bench, slot, source, run_id=run_id, fence=fence, rebuild=rebuild, strict=strict
        )

    def fingerprint(self, what: Slot | Source) -> dict[str, Any]:
        """The fingerprint of a slot's database now, or of a seed or snapshot."""
        if isinstance(what, Slot):
            return compare.fingerprint_of_slot(self._bench, what)
        return compare.fingerprint_of_source(self._bench, what)

    def verify(self, slot: Slot) -> dict[str, Any]:
        """Whether a slot's database is what its last reset promised; see `compare.verify`."""
        return compare.verify(self._bench, slot)

    def diff(self, slot: Slot, sample_size: int = 5) -> dict[str, Any]:
        """What changed in a slot's database since its reset; see `compare.diff`."""
        return compare.diff(self._bench, slot, sample_size)

    def snapshot(self, slot: Slot, name: str, *, archive: bool = False) -> dict[str, Any]:
        """Keep the state of a slot's database; see `snapshots.take_snapshot`."""
        return snapshots.take_snapshot(self._bench, slot, parse_version(name), archive=archive)

    def sources(self) -> list[dict[str, Any]]:
        """Every seed and snapshot version with its files and templates."""
        return snapshots.list_sources(self._bench)

    def delete_snapshot(self, name: str) -> dict[str, Any]:
        """Delete a snapshot that no slot is on; see `snapshots.delete_snapshot`."""
        return snapshots.delete_snapshot(self._bench, parse_version(name))

    def archive_snapshot(self, name: str) -> dict[str, Any]:
        """Make sure that a snapshot has a file, and say where; may be repeated."""
        return snapshots.archive_snapshot(self._bench, parse_version(name))

    def rehearse(self, slot: Slot, command: Command) -> dict[str, Any]:
        """Run a slot's migration command on a throw-away clone; see `rehearse.rehearse`."""
        return rehearse.rehearse(self._bench, slot, command)

    def migrations(self, slot: Slot) -> str | None:
        """Which migrations a slot's database has seen; see `checkpoints.migrations_of`."""
        return checkpoints.migrations_of(self._bench, slot)

    def note_migrations(self, slot: Slot, fence: int | None, digest: str) -> None:
        """Write which migrations it has seen; see `checkpoints.note_migrations`."""
        checkpoints.note_migrations(self._bench, slot, fence, digest)

    def take_checkpoint(self, slot: Slot, fence: int, number: int) -> dict[str, Any]:
        """Keep the state before a publish migrates it; see `checkpoints.take_checkpoint`."""
        return checkpoints.take_checkpoint(self._bench, slot, fence, number)

    def has_checkpoint(self, slot: Slot, number: int) -> bool:
        """Whether a publish has kept the state it found; see `checkpoints.has_checkpoint`."""
        return checkpoints.has_checkpoint(self._bench, slot, number)

    def is_being_changed(self, slot: Slot) -> bool:
        """Whether a publish is changing the database; see `checkpoints.is_being_changed`."""
        return checkpoints.is_being_changed(self._bench, slot)

    def put_back(self, slot: Slot, fence: int, number: int) -> bool:
        """Undo what a publish did to the database; see `checkpoints.put_back`."""
        return checkpoints.put_back(self._bench, slot, fence, number)

    def exchange_states(
        self, slot: Slot, fence: int, number: int, migrations: str
    ) -> dict[str, Any]:
        """Go to the kept state that fits a release; see `checkpoints.exchange_states`."""
        return checkpoints.exchange_states(self._bench, slot, fence, number, migrations)

    def undo_exchange(self, slot: Slot, fence: int, number: int) -> bool:
        """Take an exchange back; see `checkpoints.undo_exchange`."""
        return checkpoints.undo_exchange(self._bench, slot, fence, number)

    def observing(self, slot: Slot) -> AbstractContextManager[Observed]:
        """Observe what a block does to a slot's database: locks, rewrites, rows."""
        return rehearse.observed_slot(self._bench, slot)

    def pool(self) -> dict[str, Any]:
        """Slots, standbys, templates and background work as they stand; see `pool.show_pool`."""
        return pool.show_pool(self._bench)

    def recover(self) -> list[str]:
        """Settle every state that a crash can leave; see `recover.recover`."""
        return recover.recover(self._bench)

    def maintain(self) -> bool:
        """Do one unit of background work; see `maintain.maintain`."""
        return maintain.maintain(self._bench, self._backlog)
