"""The databases of slots: one facade over the use cases beside it.

Each use case is a module that reads top to bottom; this one only says what there is.
"""

from pathlib import Path
from typing import Any

from ouroboros.adapters.cluster.access import ClusterAccess
from ouroboros.adapters.cluster.binaries import find_binaries
from ouroboros.adapters.control.connection import ControlPool
from ouroboros.domain.database_url import DatabaseUrl
from ouroboros.domain.reset import ResetReport, Source
from ouroboros.domain.slot import Slot
from ouroboros.ports import CommandRunner
from ouroboros.services.databases import check, maintain, recover, reset
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

    def recover(self) -> list[str]:
        """Settle every state that a crash can leave; see `recover.recover`."""
        return recover.recover(self._bench)

    def maintain(self) -> bool:
        """Do one unit of background work; see `maintain.maintain`."""
        return maintain.maintain(self._bench, self._backlog)
